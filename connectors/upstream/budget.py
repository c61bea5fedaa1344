"""What one upstream host may be asked: every request takes its turn here first.

Turns are given by urgency, then by nearest deadline. A circuit breaker and a shared token bucket have their place in
`Budget`: it sees every request leave and hears how each ended.
"""

import asyncio
import heapq
from itertools import count
from types import TracebackType
from typing import Self

import structlog

from connectors.upstream import metrics
from connectors.upstream.errors import TooMany, Trouble, Unauthorized
from connectors.upstream.settings import ConnectorSettings

log = structlog.get_logger()

_CATCH_UP = 0.05
"""Seconds of lateness that a gate makes good: timers ring a little late, the rate must not suffer."""


_TELL_AFTER = 10
"""Failures in a row that are worth a line in the log."""


class Turn:
    """One request's place in the line: `async with` waits for it, and gives the place in flight back at its end."""

    __slots__ = ("_gate", "_granted", "_order")

    def __init__(self, gate: "Gate", deadline: float, *, urgent: bool) -> None:
        self._gate = gate
        self._order = (not urgent, deadline)
        self._granted: asyncio.Future[None] | None = None

    def hurry(self) -> None:
        """Go ahead of all that nobody is waiting for."""
        if self._order[0]:
            self._order = (False, self._order[1])
            if self._granted is not None:
                self._gate.line_up(self._order, self._granted)

    async def __aenter__(self) -> Self:
        self._granted = asyncio.get_running_loop().create_future()
        self._gate.line_up(self._order, self._granted)
        try:
            await self._granted
        except asyncio.CancelledError:
            if self._granted.done() and not self._granted.cancelled():
                self._gate.leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave()


class Gate:
    """Lets requests through at a rate, and at most `at_once` of them at a time (0: any number)."""

    def __init__(self, per_second: float, at_once: int = 0) -> None:
        self._distance = 1 / per_second
        self._at_once = at_once
        self._line: list[tuple[tuple[bool, float], int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._inside = 0
        self._opens_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    def turn(self, deadline: float, *, urgent: bool = False) -> Turn:
        return Turn(self, deadline, urgent=urgent)

    def shut_until(self, at: float) -> None:
        """Nobody passes before `at`, a time of the loop's clock."""
        self._opens_at = max(self._opens_at, at)

    def line_up(self, order: tuple[bool, float], granted: asyncio.Future[None]) -> None:
        """A turn may stand in the line twice, hurried; what is granted already is passed over."""
        heapq.heappush(self._line, (order, next(self._numbers), granted))
        self._let_in()

    def leave(self) -> None:
        self._inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        loop = asyncio.get_running_loop()
        while self._line and (not self._at_once or self._inside < self._at_once):
            if self._line[0][2].done():
                heapq.heappop(self._line)
                continue
            now = loop.time()
            if now < self._opens_at:
                self._wake_at(loop, self._opens_at)
                return
            heapq.heappop(self._line)[2].set_result(None)
            self._inside += 1
            self._opens_at = max(self._opens_at, now - _CATCH_UP) + self._distance

    def _wake_at(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._alarm is None:
            self._alarm = loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._let_in()


class Budget:
    """One per upstream host."""

    def __init__(self, settings: ConnectorSettings) -> None:
        self._settings = settings
        self.looks = Gate(settings.looks_per_second, settings.looks_at_once)
        self.connects = Gate(settings.connects_per_second)
        self.refusal: str | None = None
        """Why the upstream lets us in no more; None while it does."""
        self._failures = 0

    def worked(self) -> None:
        """A request was answered."""
        if self._failures >= _TELL_AFTER:
            log.info("upstream answers again")
        self._failures = 0
        if self.refusal is not None:
            log.info("upstream accepts the token again")
            self.refusal = None
            metrics.REFUSED.set(0)

    def heed(self, error: Trouble) -> None:
        """A request was not answered: what that means for all others to this host."""
        if isinstance(error, TooMany):
            self._shut(self._settings.retry_after_seconds if error.after is None else error.after)
        elif isinstance(error, Unauthorized):
            if self.refusal is None:
                log.error("upstream refuses the token", status=error.facts.get("status"))
                metrics.REFUSED.set(1)
            self.refusal = str(error)
            if error.facts.get("status") == 401:  # noqa: PLR2004 - 403 may be about one file only
                self._shut(self._settings.refused_seconds)
        elif error.cause != "ended":
            self._failures += 1
            if self._failures == _TELL_AFTER:
                log.warning("upstream does not answer", cause=error.cause, error=str(error))

    def _shut(self, seconds: float) -> None:
        at = asyncio.get_running_loop().time() + seconds
        self.looks.shut_until(at)
        self.connects.shut_until(at)
