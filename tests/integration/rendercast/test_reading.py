"""Topics are read from a beginning to an end that are known before, on a real Kafka."""

import uuid

import pytest
from aiokafka import AIOKafkaProducer

from rendercast import reading
from schemas.errors import StopProcess


@pytest.fixture
async def producer(kafka):
    async with AIOKafkaProducer(bootstrap_servers=kafka.servers, transactional_id=uuid.uuid4().hex) as found:
        yield found


@pytest.fixture
def topic(topics):
    return topics.names.stored


async def write(producer, topic, *values):
    async with producer.transaction():
        for value in values:
            await producer.send(topic, value, b"k", partition=0)


async def read(kafka, what):
    return [each.value async for each in reading.records(kafka, what)]


async def test_what_comes_after_the_end_was_known_is_not_read(kafka, topic, producer):
    await write(producer, topic, b"1", b"2")
    what = await reading.extent(kafka, [topic])
    await write(producer, topic, b"3")
    assert await read(kafka, what) == [b"1", b"2"]


async def test_an_aborted_transaction_at_the_end_is_passed(kafka, topic, producer):
    await write(producer, topic, b"1")
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"2", b"k", partition=0)
    await producer.abort_transaction()
    assert await read(kafka, await reading.extent(kafka, [topic])) == [b"1"]


async def test_an_open_transaction_is_left_out_or_waited_for_but_not_for_ever(kafka, topic, producer, monkeypatch):
    await write(producer, topic, b"1")
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"2", b"k", partition=0)
    assert await read(kafka, await reading.extent(kafka, [topic])) == [b"1"]
    monkeypatch.setattr(reading, "QUIET_SECONDS", 0.5)
    what = await reading.extent(kafka, [topic], with_open=True)
    with pytest.raises(StopProcess, match=f"{topic}-0 at"):
        await read(kafka, what)
    await producer.commit_transaction()
    assert await read(kafka, what) == [b"1", b"2"]
