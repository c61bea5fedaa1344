"""What a scrape of the engine shows."""

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from schemas import utcnow
from streams.exactly_once import metrics
from streams.exactly_once.changelog import Progress
from streams.exactly_once.exits import Ledger
from streams.rows import Span


@pytest.fixture
def registry(monkeypatch):
    registry = CollectorRegistry()
    monkeypatch.setattr(metrics, "REGISTRY", registry)
    return registry


def lanes(lag=(), rows=(), loading=None, unfinished=(), oldest=()):
    state = SimpleNamespace(loading=loading or Progress())
    state.lag, state.rows = lambda: dict(lag), lambda: dict(rows)
    state.oldest, state.unfinished = lambda: dict(oldest), lambda: list(unfinished)
    return state


def test_gauges_are_those_of_the_moment_of_the_scrape(registry, tmp_path):
    state = lanes()
    metrics.watch(state, Ledger(tmp_path))
    assert registry.get_sample_value("rendercast_processor_held_partitions") == 0
    state.lag = lambda: {TP("render.commands", 3): 0, TP("render.upstream", 3): 17}
    state.rows = lambda: {3: 1_000, 5: 0}
    value = registry.get_sample_value
    assert value("rendercast_processor_lag_offsets", {"topic": "render.upstream", "partition": "3"}) == 17
    assert value("rendercast_processor_lag_offsets", {"topic": "render.commands", "partition": "3"}) == 0
    assert value("rendercast_processor_rows", {"partition": "3"}) == 1_000
    assert value("rendercast_processor_held_partitions") == 2


def test_lag_in_seconds_is_the_age_of_the_first_record_that_waits(registry, tmp_path):
    waits, idle, ahead = (TP("render.upstream", number) for number in range(3))
    now = time.time()
    state = lanes({waits: 5, idle: 0, ahead: 1}, oldest={waits: (now - 90) * 1000, ahead: (now + 60) * 1000})
    metrics.watch(state, Ledger(tmp_path))
    found = [
        registry.get_sample_value(
            "rendercast_processor_lag_seconds", {"topic": tp.topic, "partition": str(tp.partition)}
        )
        for tp in (waits, idle, ahead)
    ]
    assert (89 < found[0] < 1_000, found[1:]) == (True, [0, 0]), "a clock that runs ahead is no negative lag"


def test_jobs_that_have_not_ended_are_told_by_number_age_and_deadline(registry, tmp_path):
    now = utcnow()
    old = Span(now - timedelta(seconds=1_000), now - timedelta(seconds=100))
    young = Span(now - timedelta(seconds=5), now + timedelta(hours=1))
    state = lanes(unfinished=[young, old])
    metrics.watch(state, Ledger(tmp_path))

    def value(name):
        return registry.get_sample_value(f"rendercast_processor_{name}")

    assert (value("unfinished_jobs"), value("overdue_jobs")) == (2, 1)
    assert 1_000 <= value("oldest_unfinished_seconds") < 2_000
    assert 100 <= value("longest_overdue_seconds") < 900
    state.unfinished = list
    assert [value(name) for name in ("unfinished_jobs", "overdue_jobs", "oldest_unfinished_seconds")] == [0, 0, 0]
    assert value("longest_overdue_seconds") == 0


@pytest.mark.parametrize(
    ("loading", "ratio"), [(Progress(), 1), (Progress(0, 8), 0), (Progress(6, 8), 0.75), (Progress(8, 8), 1)]
)
def test_recovery_tells_how_far_it_is(registry, tmp_path, loading, ratio):
    metrics.watch(lanes(loading=loading), Ledger(tmp_path))
    assert registry.get_sample_value("rendercast_processor_recovery_ratio") == ratio


def test_how_the_predecessors_ended_is_counted_from_the_start(registry, tmp_path):
    ledger = Ledger(tmp_path)
    for why in ("fenced", "fenced", "operator"):
        ledger.add(why)
    before = {why: metrics.ENDS.labels(why)._value.get() for why in ledger.counts()}
    metrics.watch(lanes(), ledger)
    grown = {why: metrics.ENDS.labels(why)._value.get() - times for why, times in before.items()}
    assert {why: times for why, times in grown.items() if times} == {"fenced": 2, "operator": 1}
