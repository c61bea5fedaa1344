"""Reading partitions of a compacted topic in bulk, past Faust, which takes record by record."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from brokers import arguments
from schemas.settings import KafkaSettings

Documents = dict[bytes, bytes]

LOOK_SECONDS = 15


@dataclass(slots=True)
class Progress:
    """How far a load is. Offsets, not records: what compaction took away counts as read."""

    offsets: int = 0
    of: int = 0
    records: int = 0


async def load(
    kafka: KafkaSettings,
    topic: str,
    partitions: Iterable[int],
    *,
    progress: Progress | None = None,
) -> dict[int, Documents]:
    """The last value of each key, by partition, as of the end of `topic` when this began; committed records only.

    The end is known by position, not by a count: a changelog can end in transaction markers, aborted records or
    records that compaction took away, none of which is ever delivered, and all of which move the position.
    """
    documents: dict[int, Documents] = {number: {} for number in partitions}
    if not documents:
        return {}
    progress = progress or Progress()
    consumer = AIOKafkaConsumer(
        **arguments(kafka),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
    )
    tps = [TopicPartition(topic, number) for number in documents]
    try:
        await consumer.start()
        consumer.assign(tps)
        begin, end = await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps))
        for tp in tps:
            consumer.seek(tp, begin[tp])
        progress.of = sum(end[tp] - begin[tp] for tp in tps)
        unread = {tp for tp in tps if begin[tp] < end[tp]}
        while unread:
            for tp, records in (await consumer.getmany(*unread, timeout_ms=50, max_records=20_000)).items():
                _apply(documents[tp.partition], records)
                progress.records += len(records)
            positions = {tp: await consumer.position(tp) for tp in tps}
            progress.offsets = sum(min(positions[tp], end[tp]) - begin[tp] for tp in tps)
            at_end = {tp for tp in unread if positions[tp] >= end[tp]}
            unread -= at_end
            consumer.pause(*at_end)
    finally:
        await consumer.stop()
    return documents


async def timestamps(kafka: KafkaSettings, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
    """The time of the record at an offset of each partition, in milliseconds; None where there is no such record."""
    found: dict[TopicPartition, int | None] = {}
    if not offsets:
        return found
    consumer = AIOKafkaConsumer(
        **arguments(kafka), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_wait_ms=50,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        for tp, offset in offsets.items():
            consumer.seek(tp, offset)
        async with asyncio.timeout(LOOK_SECONDS):
            while missing := [tp for tp in offsets if tp not in found]:
                for tp, records in (await consumer.getmany(*missing, timeout_ms=50)).items():
                    found[tp] = records[0].timestamp if records[0].offset == offsets[tp] else None
                for tp in missing:
                    if tp not in found and await consumer.position(tp) > offsets[tp]:
                        found[tp] = None
    finally:
        await consumer.stop()
    return found


async def partition_counts(kafka: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has; 0 where there is no such topic."""
    client = AIOKafkaAdminClient(**arguments(kafka))
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
