"""One watch: looks at its file whenever the policy says so, until the deadline. Its stream tells it what it hears."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from connectors.upstream import metrics
from connectors.upstream.budget import Budget, Turn
from connectors.upstream.client import UpstreamClient
from connectors.upstream.errors import NotFound, Trouble, Unauthorized
from connectors.upstream.outbox import CLIENT_ID, Outbox
from connectors.upstream.parser import Broken, Ignored, Sight, parse_answer
from connectors.upstream.policy import Roll, StreamClock, WatchClock, Why, next_look
from connectors.upstream.settings import ConnectorSettings
from connectors.upstream.signals import asks_for_look, awaits_url, is_news
from schemas import Expired, Failure, Gap, Observation, Progress, Result, Snapshot, Source, TaskChange, Watch, utcnow
from schemas.dead_letters import DeadLetter

log = structlog.get_logger()

_End = Literal["answered", "not_found", "refused", "failed", "late"]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all watches and streams of a process work with."""

    settings: ConnectorSettings
    client: UpstreamClient
    budget: Budget
    outbox: Outbox
    roll: Roll

    def bury(self, broken: Broken, where: str, file_id: str) -> None:
        """The bytes of a frame or answer that could not be read go to the dead letters."""
        metrics.BROKEN.labels(broken.reason).inc()
        self.outbox.bury(
            DeadLetter(broken.reason, "not readable", where, -1, -1, CLIENT_ID, file_id.encode(), broken.value)
        )


class Watcher:
    """One generation of one file. `run` returns when it has told the expiry; a tombstone cancels it."""

    def __init__(
        self, watch: Watch, stream: StreamClock, shared: Shared, checks_seen: int, partition: int | None = None
    ) -> None:
        self.watch = watch
        self._partition = partition
        self._stream = stream
        self._shared = shared
        self._settings = shared.settings
        self._woken = asyncio.Event()
        self._turn: Turn | None = None
        self._progress = -1.0
        self._clock = WatchClock(tracked_at=_at(watch.tracked_at), deadline_at=_at(watch.deadline_at), news_at=_now())
        if watch.check > checks_seen:
            self._clock.ask()

    @property
    def deadline_at(self) -> float:
        """In the loop's time."""
        return self._clock.deadline_at

    def update(self, watch: Watch) -> None:
        """A newer record of the same generation."""
        if watch.check > self.watch.check:
            self._clock.ask()
            if self._turn is not None:
                self._turn.hurry()
        self._clock.deadline_at = _at(watch.deadline_at)
        self.watch = watch
        self.wake()

    def wake(self) -> None:
        """Something changed that the policy looks at."""
        self._woken.set()

    def look_again(self) -> None:
        """Something may have been missed."""
        self._clock.signalled = True
        self.wake()

    def missed(self, since: datetime, until: datetime, cause: str) -> None:
        """The stream was lost, and is live again: tell the gap."""
        watch = self.watch
        self.tell(
            Gap(
                file_id=watch.file_id,
                generation=watch.generation,
                observed_at=until,
                since=since,
                until=max(since, until),
                cause=cause,
            )
        )

    def tell(self, observation: Observation) -> None:
        """Send on what was seen of the file."""
        self._shared.outbox.put(observation, self._partition)

    def saw(self, seen: Sequence[Observation], ignored: Sequence[Ignored]) -> None:
        """The stream told something; it is on its way to Kafka already."""
        for each in seen:
            self._learn(each)
        if asks_for_look(seen, ignored):
            self.look_again()

    async def run(self) -> None:
        """Look whenever a look is due; at the deadline once more, then tell the expiry."""
        while True:
            now = _now()
            look = next_look(self._settings, self._stream, self._clock, now)
            if look.at > now:
                await self._wait_until(look.at)
            elif look.why == "deadline":
                break
            else:
                await self._look(look.why, until=self._clock.deadline_at)
        await self._look_last()
        watch = self.watch
        log.info("watch expired", file_id=watch.file_id, generation=watch.generation)
        self.tell(Expired(file_id=watch.file_id, generation=watch.generation, observed_at=utcnow()))

    async def _wait_until(self, at: float) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._woken.wait()

    async def _look_last(self) -> None:
        """The look at the deadline, tried again for a while. While the token is refused nobody has looked: it waits."""
        limit = _now() + self._settings.last_look_seconds
        while (end := await self._look("deadline", until=limit)) not in ("answered", "not_found"):
            pause_until = self._clock.not_before if end == "refused" else min(limit, self._clock.not_before)
            await asyncio.sleep(max(0, pause_until - _now()))
            if self._shared.budget.refusal is not None:
                limit = _now() + self._settings.refused_seconds + self._settings.last_look_seconds
            elif _now() >= limit:
                return

    async def _look(self, why: Why, until: float) -> _End:
        """One GET of the file, in its turn, broken off at `until`."""
        try:
            async with asyncio.timeout_at(until):
                end = await self._look_in_turn(why)
        except TimeoutError:
            self._clock.failed(_now(), None, self._settings, self._shared.roll)
            end = "late"
        finally:
            self._turn = None
        metrics.LOOKS.labels(why, end).inc()
        return end

    async def _look_in_turn(self, why: Why) -> _End:
        shared, clock = self._shared, self._clock
        await shared.outbox.room()
        self._turn = shared.budget.looks.turn(clock.deadline_at, urgent=why in ("deadline", "check"))
        try:
            async with self._turn:
                sent_at = _now()
                source: Source = "check" if clock.sent(sent_at) else "poll"
                with metrics.REQUEST_SECONDS.time():
                    body = await shared.client.get_file(self.watch.file_id)
        except NotFound:
            shared.budget.worked()
            if clock.missed(_now(), self._settings, shared.roll):
                self._tell_not_found(source)
            return "not_found"
        except Trouble as error:
            shared.budget.heed(error)
            clock.failed(_now(), error.after, self._settings, shared.roll)
            return "refused" if isinstance(error, Unauthorized) else "failed"
        shared.budget.worked()
        if not self._read(body, source):
            clock.failed(_now(), None, self._settings, shared.roll)
            return "failed"
        clock.answered(why, sent_at, self._settings, shared.roll)
        return "answered"

    def _read(self, body: bytes, source: Source) -> bool:
        """Send on what the answer says; whether it could be read."""
        watch = self.watch
        sight = Sight(source, utcnow(), {watch.file_id: watch.generation})
        seen = parse_answer(body, "file", sight, file_id=watch.file_id)
        for observation in seen.observations:
            self.tell(observation)
            self._learn(observation)
        for ignored in seen.ignored:
            metrics.IGNORED.labels(ignored.reason).inc()
        for broken in seen.broken:
            self._shared.bury(broken, f"GET file/{watch.file_id}", watch.file_id)
        return not seen.broken

    def _learn(self, seen: Observation) -> None:
        clock = self._clock
        if is_news(seen, self._progress):
            clock.news_at = _now()
        if isinstance(seen, Progress):
            self._progress = max(self._progress, seen.progress)
        elif isinstance(seen, Result) or (isinstance(seen, Snapshot) and seen.url):
            clock.awaits_url = False
        elif awaits_url(seen):
            if not clock.awaits_url:
                clock.awaits_url, clock.polls, clock.poll_gap = True, 0, self._settings.poll_steps_seconds[0]
                self.wake()
        elif isinstance(seen, TaskChange):
            clock.awaits_url = False

    def _tell_not_found(self, source: Source) -> None:
        watch = self.watch
        log.info("file not found", file_id=watch.file_id, generation=watch.generation)
        self.tell(
            Failure(
                file_id=watch.file_id,
                generation=watch.generation,
                source=source,
                observed_at=utcnow(),
                reason="not_found",
                message="the upstream does not know the file",
            )
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _at(moment: datetime) -> float:
    """A moment of the wall clock in the loop's time."""
    return _now() + (moment - utcnow()).total_seconds()
