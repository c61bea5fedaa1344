"""Reading topics as they are now: committed records, from a beginning to an end that are both known before.

Nothing is kept: whoever reads holds one fetch at a time, however long the topic is.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from connectors.kafka import close, connect, consumer
from rendercast.topics import admin
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings

_NAME = "rendercast-reading"
QUIET_SECONDS = 90
"""Without any progress for so long, reading gives up. A transaction that is left open hides what is behind it until
the broker ends it; ours are ended within a minute."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What is to be read: offsets of the first records, and of those behind the last."""

    begin: Mapping[TopicPartition, int]
    end: Mapping[TopicPartition, int]

    def of(self, partition: int) -> "Extent":
        """The part of it that is in one partition."""
        begin, end = (
            {tp: at for tp, at in side.items() if tp.partition == partition} for side in (self.begin, self.end)
        )
        return Extent(begin, end)

    @property
    def partitions(self) -> list[int]:
        return sorted({tp.partition for tp in self.begin})

    @property
    def offsets(self) -> int:
        """How many there are; an offset need not have a record."""
        return sum(max(0, self.end[tp] - self.begin[tp]) for tp in self.begin)


async def partition_counts(kafka: KafkaSettings, names: Iterable[str]) -> dict[str, int]:
    """How many partitions each of these topics has. Topics that are missing are left out, and are not made by this."""
    async with admin(kafka) as client:
        there = set(await client.list_topics())
        known = [name for name in names if name in there]
        described = await client.describe_topics(known) if known else []
    return {each["topic"]: len(each["partitions"]) for each in described}


async def extent(
    kafka: KafkaSettings, names: Iterable[str], *, since: datetime | None = None, with_open: bool = False
) -> Extent:
    """All that these topics have now; since a time: from the first record that is not older.

    The end is that of the committed records before the first open transaction, or with `with_open` the very end:
    `records` then waits until open transactions have ended. Raises StopProcess for a missing topic.
    """
    wanted = list(names)
    counts = await partition_counts(kafka, wanted)
    missing = [name for name in wanted if name not in counts]
    if missing:
        raise StopProcess(f"there is no topic {', '.join(missing)} (`rendercast topics apply` makes it)")
    tps = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
    async with _client(kafka, "read_uncommitted" if with_open else "read_committed") as client:
        begin, end = await asyncio.gather(client.beginning_offsets(tps), client.end_offsets(tps))
        if since is not None:
            at = max(0, int(since.timestamp() * 1000))
            found = await client.offsets_for_times(dict.fromkeys(tps, at))
            begin = {tp: end[tp] if found[tp] is None else found[tp].offset for tp in tps}
    return Extent(begin, end)


async def records(kafka: KafkaSettings, what: Extent) -> AsyncGenerator[ConsumerRecord]:
    """The committed records, in order within a partition. Raises StopProcess where it does not come to its end.

    The end is known by position: markers of transactions and aborted records are never delivered, and move it.
    """
    unread = {tp for tp, begin in what.begin.items() if begin < what.end[tp]}
    if not unread:
        return
    async with _client(kafka, "read_committed") as client:
        client.assign(list(unread))
        for tp in unread:
            client.seek(tp, what.begin[tp])
        progress, heard = -1, time.monotonic()
        while unread:
            for tp, batch in (await client.getmany(*unread, timeout_ms=200, max_records=2_000)).items():
                for record in batch:
                    if record.offset < what.end[tp]:
                        yield record
                heard = time.monotonic()  # however long the reader took
            positions = {tp: await client.position(tp) for tp in unread}
            if sum(positions.values()) != progress:
                progress, heard = sum(positions.values()), time.monotonic()
            elif time.monotonic() - heard > QUIET_SECONDS:
                places = ", ".join(f"{tp.topic}-{tp.partition} at {at}" for tp, at in positions.items())
                raise StopProcess(
                    f"nothing could be read for {QUIET_SECONDS} s, and this is not the end: {places}. "
                    "The broker is away, or a transaction is open there"
                )
            at_end = {tp for tp, position in positions.items() if position >= what.end[tp]}
            unread -= at_end
            client.pause(*at_end)


@asynccontextmanager
async def _client(kafka: KafkaSettings, isolation_level: str) -> AsyncIterator[AIOKafkaConsumer]:
    client = await connect(consumer(kafka, _NAME, None, isolation_level=isolation_level), kafka)
    try:
        yield client
    except KafkaError as error:
        raise StopProcess(f"Kafka: {error}") from error
    finally:
        await close(client)
