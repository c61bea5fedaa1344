"""Reading partitions of a compacted topic in bulk: 300,000 records a second, against 14,000 through Faust."""

import asyncio
import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.settings import KafkaSettings

Documents = dict[bytes, bytes]

QUIET_ANSWERS = 3
"""Answers of the broker at one position, each knowing of the end, after which nothing readable is left before it."""


@dataclass(slots=True)
class Progress:
    """How far a load is. Offsets, not records: what compaction took away counts as read."""

    offsets: int = 0
    of: int = 0
    records: int = 0


@dataclass(slots=True)
class _Place:
    begin: int
    end: int
    position: int = -1
    polled_at: int | None = None
    quiet: int = 0


async def load(
    kafka: KafkaSettings,
    topic: str,
    partitions: Iterable[int],
    *,
    check: Callable[[list[Any]], None] = lambda _: None,
    progress: Progress | None = None,
) -> dict[int, Documents]:
    """The last value of each key, by partition, as of the end of `topic` when this began; committed records only.

    The end is known by position, not by a count: a changelog can end in transaction markers, aborted records or
    records that compaction took away, none of which is ever delivered. `check` sees every record before it is taken;
    what it raises is raised here.
    """
    documents: dict[int, Documents] = {number: {} for number in partitions}
    if not documents:
        return {}
    progress = progress or Progress()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
    )
    tps = [TopicPartition(topic, number) for number in documents]
    gc.disable()  # a million new rows are no garbage; collecting costs half of the time
    try:
        await consumer.start()
        consumer.assign(tps)
        begin, end = await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps))
        for tp in tps:
            consumer.seek(tp, begin[tp])
        places = {tp: _Place(begin[tp], end[tp]) for tp in tps}
        progress.of = sum(place.end - place.begin for place in places.values())
        unread = {tp: place for tp, place in places.items() if place.begin < place.end}
        while unread:
            for tp, records in (await consumer.getmany(*unread, timeout_ms=50, max_records=20_000)).items():
                check(records)
                _apply(documents[tp.partition], records)
                progress.records += len(records)
            for tp, place in list(unread.items()):
                if await _is_at_end(consumer, tp, place):
                    del unread[tp]
                    consumer.pause(tp)
            progress.offsets = sum(
                (place.end if tp not in unread else place.position) - place.begin for tp, place in places.items()
            )
    finally:
        gc.enable()
        await consumer.stop()
    return documents


async def partition_counts(kafka: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has; 0 where there is no such topic."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await client.start()
    try:
        described = await client.describe_topics(list(topics))
        return {each["topic"]: len(each["partitions"]) for each in described}
    finally:
        await client.close()


def _apply(documents: Documents, records: Iterable[Any]) -> None:
    for record in records:
        if record.value is None:
            documents.pop(record.key, None)
        else:
            documents[record.key] = record.value


async def _is_at_end(consumer: AIOKafkaConsumer, tp: TopicPartition, place: _Place) -> bool:
    position = await consumer.position(tp)
    polled_at = consumer.last_poll_timestamp(tp)
    knows_end = (consumer.last_stable_offset(tp) or 0) >= place.end
    if position == place.position:
        place.quiet += polled_at != place.polled_at and knows_end
    else:
        place.quiet = 0
    place.position, place.polled_at = position, polled_at
    return position >= place.end or place.quiet >= QUIET_ANSWERS
