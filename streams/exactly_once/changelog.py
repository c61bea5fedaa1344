"""Reading partitions of the changelog in bulk: 300,000 records a second, against 14,000 through Faust."""

import asyncio
import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.settings import KafkaSettings
from streams.step import Rows

QUIET_ANSWERS = 3
"""Answers of the broker at one position, each knowing of the end, after which nothing readable is left before it."""


@dataclass(slots=True)
class _Place:
    position: int = -1
    polled_at: int | None = None
    quiet: int = 0


async def load(
    kafka: KafkaSettings,
    topic: str,
    partitions: Iterable[int],
    on_records: Callable[[int], None] = lambda _: None,
) -> dict[int, Rows]:
    """The rows of each partition as of the end of `topic` when this began; committed records only.

    The end is known by position, not by a count: a changelog can end in transaction markers, aborted records or
    records that compaction took away, none of which is ever delivered.
    """
    rows: dict[int, dict[bytes, bytes | None]] = {number: {} for number in partitions}
    if not rows:
        return {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
    )
    tps = [TopicPartition(topic, number) for number in rows]
    gc.disable()  # a million new rows are no garbage; collecting costs half of the time
    try:
        await consumer.start()
        consumer.assign(tps)
        begin, end = await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps))
        for tp in tps:
            consumer.seek(tp, begin[tp])
        places = {tp: _Place() for tp in tps if begin[tp] < end[tp]}
        while places:
            for tp, records in (await consumer.getmany(*places, timeout_ms=50, max_records=20_000)).items():
                _apply(rows[tp.partition], records)
                on_records(len(records))
            for tp, place in list(places.items()):
                if await _is_at_end(consumer, tp, end[tp], place):
                    del places[tp]
                    consumer.pause(tp)
    finally:
        gc.enable()
        await consumer.stop()
    return cast("dict[int, Rows]", rows)  # tombstones are gone by now


def _apply(rows: dict[bytes, bytes | None], records: Iterable[Any]) -> None:
    rows.update([(record.key, record.value) for record in records])
    for record in records:
        if record.value is None and rows.get(record.key, b"") is None:  # and nothing was written behind it
            del rows[record.key]


async def _is_at_end(consumer: AIOKafkaConsumer, tp: TopicPartition, end: int, place: _Place) -> bool:
    position = await consumer.position(tp)
    polled_at = consumer.last_poll_timestamp(tp)
    knows_end = (consumer.last_stable_offset(tp) or 0) >= end
    if position == place.position:
        place.quiet += polled_at != place.polled_at and knows_end
    else:
        place.quiet = 0
    place.position, place.polled_at = position, polled_at
    return position >= end or place.quiet >= QUIET_ANSWERS
