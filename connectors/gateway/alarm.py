"""A deadline that moves with every write and is hardly ever reached: moving it costs no timer."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Alarm:
    """Calls `ring` once `set` has not been called again for as many seconds as it was given. Ends with its `with`."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        self._due = due = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look)
        elif due < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        if self._loop.time() < self._due:  # it was moved meanwhile
            self._timer = self._loop.call_at(self._due, self._look)
        else:
            self._timer = None
            self._ring()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
