"""Rule 12: a partition's finished jobs are dropped when their time has passed, in slices between the steps."""

import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta

from schemas import utcnow
from schemas.codec import timestamp
from streams.exactly_once import HeldPartition

LOOK_AT = 5_000
"""Documents that one slice looks at: about a millisecond."""

FORGET = 500
"""Documents that one slice, which is one transaction, may drop."""

BREATH = 0.01
"""Seconds between two slices of one pass."""

_MARK = b'"finished_at":"'  # its quotes would be escaped inside of a text
_LENGTH = len("2026-11-21T02:00:00.000Z")

Forget = Callable[[HeldPartition, list[bytes], datetime], Awaitable[None]]


class Forgetting:
    """The chore of one lane. A pass over all documents begins ten times in a retention time, and every ten minutes."""

    def __init__(self, retention: float, forget: Forget) -> None:
        self._retention, self._forget = timedelta(seconds=retention), forget
        self._interval = min(max(retention / 10, 0.2), 600)
        self._before = utcnow()
        self._keys: Iterator[bytes] | None = None
        self._is_first = True

    async def __call__(self, held: HeldPartition) -> float:
        """One slice; seconds until the next."""
        if self._is_first:  # not all partitions of a process at once
            self._is_first = False
            return random.uniform(0, self._interval)  # noqa: S311 - no secret
        if self._keys is None:
            self._before = utcnow() - self._retention
            self._keys = iter(tuple(held.rows.documents))
        due, is_over = self._slice(held.rows.documents, self._keys)
        if due:
            await self._forget(held, due, self._before)
        if not is_over:
            return BREATH
        self._keys = None
        return self._interval

    def _slice(self, documents: dict[bytes, bytes], keys: Iterator[bytes]) -> tuple[list[bytes], bool]:
        """The next keys whose documents finished before the moment, and whether the pass is over."""
        due: list[bytes] = []
        before = timestamp(self._before).encode()  # times of one form compare as bytes
        for _ in range(LOOK_AT):
            if (key := next(keys, None)) is None:
                return due, True
            document = documents.get(key, b"")
            at = document.rfind(_MARK)
            if at >= 0 and document[at + len(_MARK) : at + len(_MARK) + _LENGTH] < before:
                due.append(key)
                if len(due) == FORGET:
                    break
        return due, False
