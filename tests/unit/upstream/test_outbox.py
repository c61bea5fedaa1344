"""The send buffer with a Kafka that fails when told to. (On a real one: tests/integration/upstream.)"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, MessageSizeTooLargeError
from unit.upstream.fake_upstream import until

from connectors.upstream import outbox as room
from connectors.upstream.outbox import Outbox
from schemas import Progress
from schemas.codec import decode_observation
from schemas.dead_letters import DeadLetter
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings
from schemas.topics import Topics

FILES = [f"998d5ae4-0000-4000-8000-{number:012}" for number in range(3)]


def progress(number: int) -> Progress:
    return Progress(
        file_id=FILES[number % 3], source="sse", observed_at=datetime(2026, 1, 2, tzinfo=UTC), progress=number % 100
    )


class Producer:
    """Takes records as long as `fault` has nothing against them."""

    def __init__(self, taken: list, fault: Callable[[], Exception | None]) -> None:
        self.taken, self.fault, self.stopped = taken, fault, False

    async def send(self, topic, value, key, headers):
        assert not self.stopped
        end = asyncio.get_running_loop().create_future()
        error = self.fault()
        if error is None:
            self.taken.append((topic, key, value, None))
            end.set_result(None)
        else:
            end.set_exception(error)
        return end

    def create_batch(self):
        return Batch()

    async def send_batch(self, batch, topic, *, partition):
        assert not self.stopped
        end = asyncio.get_running_loop().create_future()
        error = self.fault()
        if error is None:
            self.taken.extend((topic, key, value, partition) for key, value in batch.records)
            end.set_result(None)
        else:
            end.set_exception(error)
        return end

    async def stop(self):
        self.stopped = True


class Batch:
    """Holds four records, as Kafka's holds so many bytes."""

    def __init__(self) -> None:
        self.records: list[tuple] = []

    def append(self, *, timestamp, key, value, headers):
        if len(self.records) == 4:
            return None
        self.records.append((key, value))
        return timestamp


@pytest.fixture
def world(monkeypatch):
    """An outbox with its fake Kafka: what was taken, the fault, the producers that were made."""

    class World:
        def __init__(self) -> None:
            self.taken: list = []
            self.fault: Exception | None = None
            self.next_fault: Callable[[], Exception | None] = lambda: self.fault
            self.no_broker = False
            self.producers: list[Producer] = []

        def make(self, *_: object) -> Producer:
            self.producers.append(Producer(self.taken, self.ask))
            return self.producers[-1]

        def ask(self) -> Exception | None:
            return self.next_fault()

        async def connect(self, producer: Producer, _: object) -> Producer:
            if self.no_broker:
                await producer.stop()
                raise StopProcess("no Kafka broker lets us in")
            return producer

        def sent(self) -> list[float]:
            return [decode_observation(value).progress for _, _, value, _ in self.taken]

    found = World()
    monkeypatch.setattr(room, "new_producer", found.make)
    monkeypatch.setattr(room, "connect", found.connect)
    monkeypatch.setattr(room, "_RETRY_SECONDS", 0.01)
    return found


@pytest.fixture
async def running(world):
    outbox = Outbox(KafkaSettings(), Topics("t."), 65_536)
    task = asyncio.create_task(outbox.run(world.make()))
    yield outbox
    task.cancel()
    await asyncio.wait([task])
    assert all(each.stopped for each in world.producers)


async def test_records_are_sent_in_order_under_the_file_id(world, running):
    for number in range(50):
        running.put(progress(number))
    await asyncio.wait_for(running.emptied(), 5)
    assert world.sent() == list(range(50))
    assert world.taken[1][:2] == ("t.upstream", FILES[1].encode())


async def test_a_record_goes_to_the_partition_that_is_named_else_to_that_of_its_key(world, running):
    running.put(progress(1), 7)
    running.put(progress(2))
    await asyncio.wait_for(running.emptied(), 5)
    assert sorted(partition or -1 for *_, partition in world.taken) == [-1, 7]


@pytest.mark.parametrize("error", [KafkaTimeoutError(), KafkaConnectionError()])
async def test_what_kafka_does_not_take_is_kept_in_order_and_sent_again_by_a_new_producer(world, running, error):
    world.fault = error
    for number in range(20):
        running.put(progress(number))
    await until(lambda: len(world.producers) >= 3)
    assert "Kafka" in running.trouble()
    world.fault = None
    await asyncio.wait_for(running.emptied(), 5)
    assert world.sent() == list(range(20))
    assert running.trouble() is None


async def test_batches_keep_the_order_of_a_partition_also_when_they_are_sent_again(world, running):
    world.fault = KafkaTimeoutError()
    for number in range(30):
        running.put(progress(number), number % 3)
    await until(lambda: len(world.producers) >= 3)
    world.fault = None
    await asyncio.wait_for(running.emptied(), 5)
    for partition in range(3):
        told = [decode_observation(value).progress for _, _, value, place in world.taken if place == partition]
        assert told == list(range(partition, 30, 3))


async def test_a_batch_that_kafka_refuses_stays_and_the_others_are_gone(world, running):
    errors = iter([None, KafkaTimeoutError()])
    world.next_fault = lambda: next(errors, None)
    for number in range(12):
        running.put(progress(number), 0)
    await asyncio.wait_for(running.emptied(), 5)
    assert sorted(world.sent()) == list(range(12))


async def test_without_a_broker_it_waits_for_one_and_says_so(world, running):
    world.no_broker, world.fault = True, KafkaTimeoutError()
    running.put(progress(1))
    await until(lambda: running.trouble() == "no Kafka broker lets us in")
    world.no_broker, world.fault = False, None
    await asyncio.wait_for(running.emptied(), 5)
    assert world.sent() == [1]


async def test_a_kafka_that_neither_takes_nor_refuses_is_told(world, running, monkeypatch):
    monkeypatch.setattr(room, "_STALLED_SECONDS", 0.05)
    monkeypatch.setattr(Producer, "send", lambda *_, **__: asyncio.sleep(60))
    assert running.trouble() is None
    running.put(progress(1))
    await until(lambda: "taken no observation" in (running.trouble() or ""))


async def test_a_record_that_is_too_large_for_kafka_does_not_hold_up_the_others(world, running):
    world.fault = MessageSizeTooLargeError()
    running.put(progress(1))
    await asyncio.wait_for(running.emptied(), 5)
    world.fault = None
    running.put(progress(2))
    await asyncio.wait_for(running.emptied(), 5)
    assert world.sent() == [2]


async def test_a_full_buffer_has_no_room_takes_what_was_read_all_the_same_and_has_room_again(world, running):
    world.fault = KafkaTimeoutError()
    number = 0
    while not running.is_full:
        running.put(progress(number))
        number += 1
    assert 50 < number < 150
    running.put(progress(number))
    waiting = asyncio.create_task(running.room())
    await until(lambda: len(world.producers) >= 2)
    assert not waiting.done()
    world.fault = None
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(running.emptied(), 5)
    assert len(world.taken) == number + 1


async def test_a_dead_letter_without_key_and_value_can_be_sent(world, running):
    running.bury(DeadLetter("bad_key", "", "t.watches", 0, 7, "connector", None, None))
    await asyncio.wait_for(running.emptied(), 5)
    assert world.taken == [("t.dead-letters", None, b"", None)]
