"""What one upstream host may be asked: every stream, look and generate call takes its turn here first.

Who may go next is decided by what is at stake (`Rank`), then by the nearest deadline. When anybody may go is decided by
all of: the bucket of requests, the breaker, the upstream's own `Retry-After`, how many are under way, and for streams
their pace.
"""

import asyncio
import heapq
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from math import inf
from types import TracebackType
from typing import Self

import structlog

from connectors.bucket import Bucket
from connectors.upstream import metrics
from connectors.upstream.errors import NotFound, TooMany, Trouble, Unauthorized
from connectors.upstream.limits import Breaker
from connectors.upstream.settings import ConnectorSettings
from schemas.errors import RejectRecord

log = structlog.get_logger()

_HOST_TROUBLE = frozenset({"unreachable", "certificate"})
"""Of what befalls streams this alone tells of the host: proxies keep them waiting, answer 524, and break them off."""

_TELL_SECONDS = 60.0
"""Between two lines of the log on a refused token."""


class Rank(IntEnum):
    """What is at stake, the most urgent first."""

    ASKED = 0
    """Somebody waits for the answer: a check, a generate call."""
    DEADLINE = 1
    GAP = 2
    """Something may have been missed, or is: looks that close a gap, and streams."""
    ROUTINE = 3


class Turn:
    """One request's place in the line: `async with` waits for it, holds it, and tells the budget how it ended."""

    __slots__ = ("_granted", "_joined_at", "_line", "_order", "is_probe")

    def __init__(self, line: "Line", rank: Rank, deadline: float) -> None:
        self._line = line
        self._order = (rank, deadline)
        self._granted: asyncio.Future[None] | None = None
        self._joined_at = 0.0
        self.is_probe = False

    @property
    def is_stream(self) -> bool:
        return self._line.is_of_streams

    @property
    def is_over(self) -> bool:
        """Whether it waits no more."""
        return self._granted is None or self._granted.done()

    def hurry(self) -> None:
        """Somebody waits for the answer now: go ahead."""
        if self._order[0] != Rank.ASKED:
            self._order = (Rank.ASKED, self._order[1])
            if not self.is_over:
                self._line.push(self, self._order)

    def grant(self, now: float) -> None:
        assert self._granted is not None
        metrics.BUDGET_SECONDS.labels(self._order[0].name.lower()).observe(now - self._joined_at)
        self._granted.set_result(None)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._joined_at = loop.time()
        self._granted = loop.create_future()
        self._line.push(self, self._order)
        try:
            await self._granted
        except asyncio.CancelledError:
            if not self._granted.cancelled():
                self._line.leave(self, None, answered=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        answered = error is None or isinstance(error, RejectRecord) or (isinstance(error, Trouble) and error.is_answer)
        self._line.leave(self, error if isinstance(error, Trouble) else None, answered=answered)


class Line:
    """Requests of one sort that wait: `at_once` of them may be under way, and they may have a pace of their own."""

    def __init__(
        self,
        budget: "Budget",
        at_once: float = inf,
        pace: Bucket | None = None,
        *,
        is_of_streams: bool = False,
    ) -> None:
        self._budget = budget
        self.is_of_streams = is_of_streams
        self._at_once = at_once
        self._numbers = count()
        self.pace = pace
        self.under_way = 0
        self._waiting: list[tuple[tuple[Rank, float], int, Turn]] = []

    def turn(self, rank: Rank, deadline: float) -> Turn:
        """A place in this line, not taken yet."""
        return Turn(self, rank, deadline)

    def push(self, turn: Turn, order: tuple[Rank, float]) -> None:
        """A turn may stand in the line twice, hurried; what has been granted is passed over."""
        heapq.heappush(self._waiting, (order, next(self._numbers), turn))
        self._budget.let_in()

    def leave(self, turn: Turn, trouble: Trouble | None, *, answered: bool) -> None:
        self.under_way -= 1
        self._budget.hear(turn, trouble, answered=answered)
        self._budget.let_in()

    def first(self) -> tuple[Rank, float] | None:
        """Who is next, if anybody waits and has a place."""
        while self._waiting and self._waiting[0][2].is_over:
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting and self.under_way < self._at_once else None

    def let_first_in(self, now: float, *, probe: bool) -> None:
        turn = heapq.heappop(self._waiting)[2]
        self.under_way += 1
        if self.pace is not None:
            self.pace.take(now)
        turn.is_probe = probe
        turn.grant(now)


class Budget:
    """One per upstream host. `refusal` says why the upstream lets us in no more; None while it does."""

    def __init__(self, settings: ConnectorSettings, clock: Callable[[], float] | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._requests = Bucket(settings.requests_per_second, settings.burst)
        self._breaker = Breaker(settings.breaker_failures, settings.breaker_seconds, settings.breaker_cap_seconds)
        self._shut_until = -inf
        self._alarm: asyncio.TimerHandle | None = None
        self._told_at = -inf
        self.looks = Line(self, settings.looks_at_once)
        # A tenth of a second's worth: a loop that wakes up late does not fall behind the pace for good.
        pace = Bucket(settings.connects_per_second, max(1, settings.connects_per_second / 10))
        self.connects = Line(self, settings.connects_at_once, pace, is_of_streams=True)
        self.calls = Line(self)
        self.refusal: str | None = None
        self.is_refused = False
        """Whether it is the token that is refused, not one file."""
        self._probed_stream = True

    @property
    def is_failing(self) -> bool:
        """Whether the host does not answer; a token that is refused is an answer."""
        return self.is_open and not self.is_refused

    @property
    def is_open(self) -> bool:
        """Whether the breaker lets nothing through but probes."""
        return self._breaker.state != "closed"

    @property
    def shut_until(self) -> float:
        """Nothing leaves before: the upstream said so. In the loop's time."""
        return self._shut_until

    def hear(self, turn: Turn, trouble: Trouble | None, *, answered: bool) -> None:
        """A request has ended: what that means for all others to this host."""
        now = self._now()
        before = self._breaker.state
        if answered:
            self._answered(turn, trouble, now)
        elif trouble is None:
            if turn.is_probe:
                self._breaker.called_off()
        elif turn.is_probe or not turn.is_stream or trouble.cause in _HOST_TROUBLE:
            self._breaker.failed(now, probe=turn.is_probe)
            if before == "closed" and self._breaker.state == "open":
                log.warning("upstream does not answer", cause=trouble.cause, error=str(trouble))
        if self._breaker.state != before:
            metrics.BREAKER.state(self._breaker.state)

    def let_in(self) -> None:
        """Let in all whose turn has come; be back when the next one's comes."""
        now = self._now()
        while heads := [(first, line) for line in (self.looks, self.connects, self.calls) if (first := line.first())]:
            opens_at = max(self._shut_until, self._requests.opens_at(), self._breaker.opens_at())
            ready = [each for each in heads if each[1].pace is None or each[1].pace.opens_at() <= now]
            if opens_at > now or not ready:
                paces = [line.pace.opens_at() for _, line in heads if line.pace is not None]
                self._come_back(max(opens_at, min(paces)) if not ready else opens_at)
                return
            self._requests.take(now)
            is_probe = self._breaker.passed()
            if is_probe:  # by turns, a look and a stream: either may fail while the other would work
                metrics.BREAKER.state("half_open")
                _, line = min(ready, key=lambda each: (each[1].is_of_streams is self._probed_stream, each[0]))
                self._probed_stream = line.is_of_streams
            else:
                _, line = min(ready, key=lambda each: each[0])
            line.let_first_in(now, probe=is_probe)

    def _answered(self, turn: Turn, trouble: Trouble | None, now: float) -> None:
        if isinstance(trouble, Unauthorized):
            self._refused(turn, trouble, now)
            return
        if self._breaker.state != "closed":
            log.info("upstream answers again")
        self._breaker.worked()
        if isinstance(trouble, TooMany):
            after = self._settings.retry_after_seconds if trouble.after is None else trouble.after
            self._shut_until = max(self._shut_until, now + after)
        elif self.refusal is not None and not isinstance(trouble, NotFound):
            log.info("upstream accepts the token again")
            self.refusal, self.is_refused = None, False
            metrics.REFUSED.set(0)

    def _refused(self, turn: Turn, trouble: Unauthorized, now: float) -> None:
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            log.error("upstream refuses the token", status=trouble.facts.get("status"))
        metrics.REFUSED.set(1)
        self.refusal = str(trouble)
        self.is_refused = self.is_refused or trouble.facts.get("status") == 401  # noqa: PLR2004
        if trouble.facts.get("status") == 401:  # noqa: PLR2004 - 403 may be about one file only
            self._breaker.refused(now, self._settings.refused_seconds)
        elif turn.is_probe:
            self._breaker.worked()

    def _come_back(self, at: float) -> None:
        """Infinity: a probe is under way, and its end lets in the next."""
        if self._alarm is not None:
            if self._alarm.when() <= at:
                return
            self._alarm.cancel()
            self._alarm = None
        if at < inf:
            self._alarm = asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.let_in()

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()
