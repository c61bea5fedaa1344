"""How far a reader is behind."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.errors import KafkaError

_ANSWER_SECONDS = 0.5


async def behind(consumer: Any, done: Mapping[Any, int | None]) -> dict[Any, int]:
    """Offsets to the end of each partition, from the first record that is not done; None where all that was read is.

    In that case the consumer's position counts: behind the last record of a topic that is written in transactions
    stand markers, which nobody is ever given. Partitions of which the end or the position is not known are left out.
    """
    found: dict[Any, int] = {}
    for partition, first in done.items():
        with contextlib.suppress(KafkaError, TimeoutError):  # it was taken away, or not sought yet
            end = consumer.highwater(partition)
            if first is None:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    first = await consumer.position(partition)  # noqa: PLW2901 - a default that has to be asked for
            if end is not None:
                found[partition] = max(0, end - first)
    return found


def age(written: Callable[[], int | None]) -> Callable[[], float]:
    """For a gauge, asked at each scrape: seconds since the record that waits was written; 0 where none does.

    `written` tells when that was, in milliseconds.
    """

    def seconds() -> float:
        at = written()
        return 0.0 if at is None else max(0.0, time.time() - at / 1000)

    return seconds
