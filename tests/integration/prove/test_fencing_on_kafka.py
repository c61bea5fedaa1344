"""Who takes a partition ends whatever its old owner still has in hand."""

import asyncio

import pytest
from aiokafka.errors import KafkaError
from harness import read

from streams.exactly_once import HeldPartition
from streams.exactly_once.exits import end_process_after
from streams.settings import EngineSettings
from streams.step import Outgoing


def records(topics, words):
    return [Outgoing(topics.names.completions, words, words, [])]


async def begin(held, records):
    """A step that its owner is frozen in: everything is sent, and nothing is committed."""
    producer = held._producer
    await producer.begin_transaction()
    for each in records:
        await producer.send_and_wait(each.topic, each.value, key=each.key, partition=held.number)


@pytest.mark.parametrize("moment", ["in mid step", "between two steps"])
def test_an_owner_that_wakes_after_another_has_taken_its_partition_commits_nothing_more(
    kafka, topics, monkeypatch, moment
):
    async def run():
        async def fence():
            return await HeldPartition.fence(f"{topics.prefix}processor", 0, kafka, EngineSettings())

        frozen = await fence()
        await frozen.transact(records(topics, b"before"))
        if moment == "in mid step":
            await begin(frozen, records(topics, b"frozen"))
        other = await fence()
        await other.transact(records(topics, b"other"))
        mid_step = moment == "in mid step"
        wakes = frozen._producer.commit_transaction() if mid_step else frozen.transact(records(topics, b"frozen"))
        with pytest.raises(KafkaError) as refused:
            await wakes
        await asyncio.gather(frozen.release(), other.release())
        return refused.value

    error = asyncio.run(run())
    assert [each.value for each in read(kafka, topics.names.completions)] == [b"before", b"other"]
    ended = []
    monkeypatch.setattr("streams.exactly_once.exits.end_process", lambda words, why, **_: ended.append(why))
    end_process_after(error, "a step failed")
    assert ended == ["fenced"]


def test_partitions_do_not_fence_each_other(kafka, topics):
    async def run():
        held = [await HeldPartition.fence(f"{topics.prefix}processor", n, kafka, EngineSettings()) for n in (0, 1)]
        for each in held:
            await each.transact(records(topics, b"%d" % each.number))
        await asyncio.gather(*[each.release() for each in held])

    asyncio.run(run())
    assert {(each.partition, each.value) for each in read(kafka, topics.names.completions)} == {(0, b"0"), (1, b"1")}
