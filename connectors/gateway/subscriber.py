"""One reader of an event stream, and what waits for it."""

import asyncio
from typing import Literal

from connectors.gateway.changes import Change

End = Literal["slow", "closing", "reading anew", "expired", "gone", "told"]
"""Why a stream ends; `told`: there is nothing more to tell."""


class Subscriber:
    """A bounded queue. From half its bound on, a change replaces the waiting one of the same job where that loses
    no outcome; at the bound the reader is slow, and what waits is dropped.
    """

    def __init__(self, channels: tuple[str, ...], bound: int) -> None:
        self.channels = channels
        self.ended: End | None = None
        self._bound = bound
        self._waiting: dict[int, Change] = {}
        self._last_of_file: dict[str, Change] = {}
        self._awake = asyncio.Event()

    def offer(self, change: Change) -> None:
        if self.ended:
            return
        older = self._last_of_file.get(change.file_id)
        if older is not None and len(self._waiting) >= self._bound // 2 and change.makes_obsolete(older):
            del self._waiting[older.seq]
        if len(self._waiting) >= self._bound:
            self.end("slow")
            return
        self._waiting[change.seq] = change
        self._last_of_file[change.file_id] = change
        self._awake.set()

    def take(self) -> list[Change]:
        """All that waits, in the order it came."""
        if not self._waiting:
            return []
        changes = list(self._waiting.values())
        self._waiting.clear()
        self._last_of_file.clear()
        return changes

    def end(self, why: End) -> None:
        """The first reason counts. What waits for a reader that is not slow is still sent."""
        if self.ended is None:
            self.ended = why
            if why == "slow":
                self.take()
        self._awake.set()

    def wake(self) -> None:
        self._awake.set()

    async def woken(self) -> None:
        """Until there is something to do."""
        await self._awake.wait()
        self._awake.clear()

    async def wait(self, seconds: float) -> bool:
        """Until there is something to do; False when nothing came in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return False
        self._awake.clear()
        return True
