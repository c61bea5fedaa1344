"""Writing commands when Kafka is well, slow, and broken for good."""

import asyncio

import orjson
import pytest
from aiokafka.errors import KafkaError, NotLeaderForPartitionError

from connectors.gateway.commands import KafkaCommands
from schemas import Check
from schemas.errors import RetryLater
from schemas.settings import KafkaSettings


class Producer:
    """Stands in for aiokafka's; `answers` are what its sends come to."""

    def __init__(self, *answers):
        self.answers, self.sent, self.stopped = list(answers), [], False

    async def start(self):
        pass

    async def stop(self):
        self.stopped = True

    async def send_and_wait(self, topic, **record):
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, asyncio.Future):
            await answer
        if answer is not None:
            raise answer
        self.sent.append((topic, record))


@pytest.fixture
async def commands():
    """commands(producer, …): started, with these producers one after the other."""

    async def start(*producers):
        left = list(producers)
        found = KafkaCommands(KafkaSettings(), "t.commands", 0.05, lambda *_: left.pop(0))
        await found.start()
        return found

    return start


@pytest.fixture
def check(file_id, now):
    return Check(file_id=file_id(1).upper(), issued_at=now)


async def test_a_command_is_keyed_by_the_file_in_lower_case_with_its_headers(commands, check, file_id):
    producer = Producer()
    await (await commands(producer)).send(check)
    [(topic, record)] = producer.sent
    assert topic == "t.commands"
    assert record["key"] == file_id(1).encode()
    assert orjson.loads(record["value"])["type"] == "check"
    assert dict(record["headers"])["ce_type"] == b"rendercast.command.check"


async def test_a_command_that_the_broker_has_not_confirmed_in_time_is_told_as_retry_later(commands, check):
    producer = Producer(asyncio.Future())
    started = await commands(producer)
    with pytest.raises(RetryLater, match="confirm"):
        await started.send(check)
    await started.send(check)
    assert (len(producer.sent), producer.stopped) == (1, False)


async def test_a_producer_that_may_recover_is_kept(commands, check):
    producer = Producer(NotLeaderForPartitionError())
    started = await commands(producer)
    with pytest.raises(RetryLater):
        await started.send(check)
    await started.send(check)
    assert (len(producer.sent), producer.stopped) == (1, False)


async def test_a_producer_that_failed_for_good_is_replaced_once(commands, check):
    first, second = asyncio.Future(), asyncio.Future()
    broken, fresh = Producer(first, second), Producer()
    started = await commands(broken, fresh)
    failing = [asyncio.create_task(started.send(check)) for _ in range(2)]
    await asyncio.sleep(0)
    first.set_exception(KafkaError("the sender is dead"))
    with pytest.raises(RetryLater):
        await failing[0]
    await started.send(check)
    second.set_exception(KafkaError("the sender is dead"))
    with pytest.raises(RetryLater):
        await failing[1]
    assert (broken.stopped, fresh.stopped, len(fresh.sent)) == (True, False, 1)
