"""A partition that is held: under an id of its own, all of a step or nothing."""

import asyncio

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from schemas import ChatRef, EarlierGeneration, Job, utcnow
from schemas.codec import encode
from schemas.settings import KafkaSettings
from streams.exactly_once import held as room
from streams.exactly_once.held import MAX_BATCH_BYTES, HeldPartition
from streams.machine import MAX_CHATS, MAX_EARLIER
from streams.settings import EngineSettings
from streams.step import Outgoing

KAFKA, ENGINE = KafkaSettings(bootstrap_servers="kafka:9092"), EngineSettings(transaction_timeout=7, request_timeout=3)


class Producer:
    """aiokafka's producer: what it is asked for, in order. Batches are its own."""

    def __init__(self, **settings):
        self.settings, self.calls, self.sent = settings, [], []
        self.start_error = self.stop_waits_for = self.delivery_error = None

    async def start(self):
        self.calls.append("start")
        if self.start_error is not None:
            raise self.start_error

    async def stop(self):
        self.calls.append("stop")
        if self.stop_waits_for is not None:
            await self.stop_waits_for.wait()

    async def begin_transaction(self):
        self.calls.append("begin")

    async def commit_transaction(self):
        self.calls.append("commit")

    def create_batch(self):
        return BatchBuilder(MAX_BATCH_BYTES, 0, is_transactional=1)

    async def send_batch(self, batch, topic, *, partition):
        self.calls.append(f"send {topic}")
        batch.close()
        records = [(each.key, each.value, list(each.headers)) for each in DefaultRecordBatch(bytes(batch._build()))]
        self.sent.append((topic, partition, records))
        return self.delivered()

    async def delivered(self):
        await asyncio.sleep(0.001)
        self.calls.append("delivered")
        if self.delivery_error is not None:
            raise self.delivery_error


@pytest.fixture
def producers(monkeypatch):
    """Every producer that was made."""
    made = []

    def make(**settings):
        made.append(Producer(**settings))
        return made[-1]

    monkeypatch.setattr(room, "AIOKafkaProducer", make)
    return made


@pytest.fixture
def producer():
    return Producer()


def out(topic, key=b"k", value=b"v", headers=()):
    return Outgoing(topic, key, value, list(headers))


async def test_each_partition_has_a_transactional_id_of_its_own_and_every_owner_the_same(producers):
    for number in (0, 1, 1):
        await HeldPartition.fence("app", number, KAFKA, ENGINE)
    ids = [each.settings["transactional_id"] for each in producers]
    assert ids == ["app-0", "app-1", "app-1"]
    assert [each.calls for each in producers] == [["start"]] * 3
    settings = producers[0].settings
    assert settings["bootstrap_servers"] == ["kafka:9092"]
    assert (settings["transaction_timeout_ms"], settings["request_timeout_ms"]) == (7_000, 3_000)


async def test_one_that_cannot_be_fenced_leaves_no_producer_behind(producers, monkeypatch):
    async def fail(self):
        raise RuntimeError("no answer")

    monkeypatch.setattr(Producer, "start", fail)
    with pytest.raises(RuntimeError):
        await HeldPartition.fence("app", 0, KAFKA, ENGINE)
    assert producers[0].calls == ["stop"]


async def test_a_step_is_one_transaction_that_commits_when_everything_has_been_delivered(producer):
    held = HeldPartition(3, producer)
    headers = [("ce_id", b"1")]
    await held.transact([out("jobs", headers=headers), out("completions"), out("jobs", b"k2", None)])
    assert producer.calls == ["begin", "send jobs", "send completions", "delivered", "delivered", "commit"]
    assert producer.sent == [
        ("jobs", 3, [(b"k", b"v", headers), (b"k2", None, [])]),
        ("completions", 3, [(b"k", b"v", [])]),
    ]


async def test_what_is_not_delivered_is_not_committed(producer):
    producer.delivery_error = RuntimeError("fenced")
    with pytest.raises(RuntimeError):
        await HeldPartition(3, producer).transact([out("jobs"), out("completions")])
    assert "commit" not in producer.calls


async def test_what_is_more_than_a_batch_becomes_several_in_one_transaction_and_in_order(producer):
    records = [out("jobs", b"%d" % number, bytes(400_000)) for number in range(5)]
    await HeldPartition(0, producer).transact(records)
    assert producer.calls[0] == "begin"
    assert producer.calls[-1] == "commit"
    assert (producer.calls.count("begin"), producer.calls.count("commit")) == (1, 1)
    assert [[key for key, *_ in records] for _, _, records in producer.sent] == [[b"0", b"1"], [b"2", b"3"], [b"4"]]


def test_the_largest_document_there_can_be_fits_into_a_batch():
    """aiokafka takes a batch's first record whatever its size, and the broker refuses it: for ever, if it is ours."""
    name, text, url = "\1" * 300, "\1" * 20_000, "https://x" + "\1" * 3_991  # six bytes a letter in JSON
    time = utcnow()
    job = Job(
        file_id="998d1234-5678-4abc-8def-0123456789ab", generation=name, version=1 << 62, kind="video",
        status="processing", outcome="completed", reason="superseded", won_by="check", message=text, prompt=text,
        url=url, thumbnail_url=url, project_id=name, user_id=name, deadline_at=time, tracked_at=time,
        updated_at=time, finished_at=time, checked_at=time, upstream_generation_id=name, task_id=name,
        chats=[ChatRef(chat_id=name, message_id=name)] * MAX_CHATS,
        earlier=[EarlierGeneration(generation=name, upstream_generation_id=name, url=url, task_id=name)] * MAX_EARLIER,
        applied={"commands": 1 << 62, "upstream": 1 << 62},
    )  # fmt: skip
    for longer in ({"prompt": text + "x"}, {"url": url + "x"}, {"user_id": name + "x"}):
        with pytest.raises(ValueError, match=next(iter(longer))):
            Job(**{**dict(job), **longer})
    assert len(encode(job)) < MAX_BATCH_BYTES - 10_000


async def test_a_dead_letter_of_a_record_with_neither_key_nor_value_can_be_sent(producer):
    await HeldPartition(0, producer).transact([out("dead-letters", None, None)])
    assert producer.sent == [("dead-letters", 0, [(None, b"", [])])]


async def test_letting_go_never_fails_and_never_takes_long(producer, monkeypatch):
    real, asked = asyncio.wait_for, []

    async def wait_for(awaitable, seconds):
        asked.append(seconds)
        return await real(awaitable, 0.01)

    monkeypatch.setattr(room.asyncio, "wait_for", wait_for)
    producer.stop_waits_for = asyncio.Event()
    await HeldPartition(0, producer).release()
    assert producer.calls == ["stop"]
    assert asked[0] <= 5
