"""A step's effects: in one transaction, and in memory and in the counters only when that has succeeded."""

from datetime import timedelta
from types import SimpleNamespace

import faust
import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from schemas import Job, Result, Track, utcnow
from schemas.codec import encode
from schemas.settings import KafkaSettings, TopicSettings
from schemas.topics import Topics
from streams import app as room
from streams.app import carry_out, create_app
from streams.exactly_once import Sensor
from streams.rows import Position, Rows
from streams.settings import ProcessorSettings
from streams.step import Effects, Outgoing, Stepper

FILE = "998d1234-5678-4abc-8def-0123456789ab"
KEY = FILE.encode()
TOPICS = Topics()


class Held:
    """A partition; its transactions are written down, with what the rows were at that moment."""

    def __init__(self, error=None):
        self.rows, self.transactions, self.error = Rows(), [], error

    async def transact(self, out):
        self.transactions.append((list(out), dict(self.rows.documents), dict(self.rows.positions)))
        if self.error is not None:
            raise self.error


def records():
    track = Track(file_id=FILE, kind="video", request_id="r1", issued_at=utcnow())
    result = Result(file_id=FILE, source="sse", observed_at=utcnow(), url="https://x.example/a.mp4")
    return [
        SimpleNamespace(topic=topic, partition=0, offset=offset, timestamp=7, key=KEY, value=value)
        for topic, offset, value in (
            (TOPICS.commands, 4, encode(track)), (TOPICS.upstream, 8, encode(result)), (TOPICS.upstream, 9, b"{"),
        )
    ]  # fmt: skip


def counted():
    """Everything that the processor has counted so far."""
    return {
        (sample.name, *sample.labels.items()): sample.value
        for metric in REGISTRY.collect()
        if metric.name.startswith("rendercast_processor_")
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


def grown(before):
    return {key: value - before.get(key, 0) for key, value in counted().items() if value != before.get(key, 0)}


async def test_rows_change_after_the_transaction_that_says_so(monkeypatch):
    held = Held()
    effects = Stepper(TOPICS)(held.rows, records())
    await carry_out(held, effects)
    assert held.transactions == [(effects.out, {}, {})]
    assert set(held.rows.documents) == {KEY}
    assert held.rows.positions == {"commands": Position(4, 7), "upstream": Position(9, 7)}


async def test_a_transaction_that_fails_leaves_rows_and_counters_as_they_were():
    held = Held(RuntimeError("fenced"))
    held.rows.positions["commands"] = Position(1, 7)
    before = counted()
    effects = Stepper(TOPICS)(held.rows, records())
    with pytest.raises(RuntimeError):
        await carry_out(held, effects)
    assert (held.rows.documents, held.rows.positions) == ({}, {"commands": Position(1, 7)})
    assert held.rows.job(KEY) is None
    assert grown(before) == {}


async def test_what_has_committed_is_counted_once():
    held, before = Held(), counted()
    await carry_out(held, Stepper(TOPICS)(held.rows, records()))
    found = {name[len("rendercast_processor_") :]: value for (name, *_), value in grown(before).items()}
    assert found["outcomes_total"] == found["job_seconds_count"] == found["dead_letters_total"] == 1
    assert found["transaction_seconds_count"] == found["announced_seconds_count"] == 1
    before = counted()
    await carry_out(held, Stepper(TOPICS)(held.rows, records()[:2]))
    assert {name: value for (name, *_), value in grown(before).items()} == {"rendercast_processor_replays_total": 2}


async def test_the_time_to_the_announcement_is_from_what_ended_the_job_and_never_negative():
    def sums():
        return {key: value for key, value in counted().items() if "announced_seconds_sum" in key[0]}

    held, before = Held(), sums()
    effects = Stepper(TOPICS)(held.rows, records())
    effects.completions = [
        each.model_copy(update={"finished_at": utcnow() + timedelta(seconds=seconds)})
        for each in effects.completions
        for seconds in (-400, 400)
    ]
    await carry_out(held, effects)
    [(source, total)] = [
        (key[1], value - before.get(key, 0)) for key, value in sums().items() if value != before.get(key)
    ]
    assert source == ("source", "sse")
    assert 400 <= total < 700


async def test_where_there_is_nothing_to_send_there_is_no_transaction():
    held = Held()
    await carry_out(held, Effects(jobs={KEY: None}, positions={"upstream": Position(7, 7)}))
    assert held.transactions == []
    assert held.rows.positions == {"upstream": Position(7, 7)}


async def test_the_app_hands_steps_and_forgetting_the_same_way_to_the_transaction(monkeypatch, tmp_path):
    """One engine, made by `create_app`: what a step and what the chore causes goes through `carry_out`."""
    engines = []

    def install(app, kafka, engine, settings):
        engines.append(engine)
        return SimpleNamespace(put=lambda event: None)

    monkeypatch.setattr(room, "install", install)
    create_app(KafkaSettings(), TopicSettings(), ProcessorSettings(data_directory=tmp_path, retention=0.001))
    [engine] = engines
    assert engine.sources == {TOPICS.commands: "commands", TOPICS.upstream: "upstream"}
    assert (engine.changelog, engine.positions) == (TOPICS.jobs, TOPICS.positions)

    held = Held()
    await engine.step(held, records())
    assert {each.topic for each in held.transactions[0][0]} == {
        TOPICS.jobs, TOPICS.completions, TOPICS.watches, TOPICS.storage, TOPICS.dead_letters, TOPICS.positions,
    }  # fmt: skip
    old = utcnow().replace(year=2020)
    held.rows.documents[KEY] = encode(
        Job(
            file_id=FILE, generation="r1", version=9, kind="video", status="completed", outcome="completed",
            watching=False, deadline_at=old, tracked_at=old, updated_at=old, finished_at=old,
        )
    )  # fmt: skip
    held.rows._warm.clear()
    chore = engine.chore()
    assert engine.chore() is not chore
    while held.rows.documents:
        await chore(held)
    sent = held.transactions[-1][0]
    assert Outgoing(TOPICS.jobs, KEY, None, []) in sent
    assert {(each.key, Position.decode(each.value)) for each in sent if each.topic == TOPICS.positions} == {
        (b"commands", Position(4, 7)), (b"upstream", Position(9, 7)),
    }  # fmt: skip


def test_faust_keeps_no_account_of_single_events(monkeypatch, tmp_path):
    """Its Monitor does, for a web server that is off; what asks `app.monitor` for something still gets it."""
    monkeypatch.setattr(room, "install", lambda *_: None)
    app = create_app(KafkaSettings(), TopicSettings(prefix="sensor."), ProcessorSettings(data_directory=tmp_path))
    assert type(app.monitor) is Sensor
    assert not isinstance(app.monitor, faust.Monitor)
    tp = TP("sensor.upstream", 0)
    app.monitor.on_stream_event_in(tp, 7, None, None)
    assert app.monitor.stream_inbound_time[tp] > 0
    app.monitor.on_tp_commit({tp: 8})
    app.monitor.track_tp_end_offset(tp, 9)


def test_the_sensor_tells_commits_of_offsets_and_rebalances(tmp_path):
    before, sensor = counted(), Sensor()
    sensor.on_commit_completed(None, sensor.on_commit_initiated(None))
    sensor.on_rebalance_end(None, sensor.on_rebalance_start(None))
    assert {name: value for (name, *_), value in grown(before).items() if name.endswith("_count")} == {
        "rendercast_processor_offsets_commit_seconds_count": 1,
        "rendercast_processor_rebalance_seconds_count": 1,
    }
