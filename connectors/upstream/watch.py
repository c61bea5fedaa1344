"""One watch: looks at its file whenever the policy says so, until the deadline. Its stream tells it what it hears.

Between two looks a watch is a timer and no task: ten thousand of them wait in one process.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import structlog

from connectors.upstream import metrics
from connectors.upstream.budget import Rank, Turn
from connectors.upstream.errors import NotFound, Trouble, Unauthorized
from connectors.upstream.parser import Ignored, Sight, parse_answer
from connectors.upstream.policy import StreamClock, WatchClock, Why, next_look
from connectors.upstream.shared import Shared
from connectors.upstream.signals import asks_for_look, awaits_url, gist, is_news, url_of
from connectors.upstream.story import Story
from schemas import Expired, Failure, Gap, Observation, Progress, Source, TaskChange, Watch, utcnow

log = structlog.get_logger()

_End = Literal["answered", "not_found", "refused", "failed", "late", "unsent"]

_RANKS: dict[Why, Rank] = {
    "check": Rank.ASKED, "deadline": Rank.DEADLINE, "signal": Rank.GAP, "connected": Rank.GAP,
    "poll": Rank.ROUTINE, "events": Rank.ROUTINE, "job": Rank.ROUTINE,
}  # fmt: skip


class Watcher:
    """One generation of one file. It calls `ended` when it has told the expiry; `stop` ends it before."""

    __slots__ = (
        "_alarm", "_clock", "_ended", "_has_url", "_is_sent", "_lost", "_news", "_progress", "_shared", "_story",
        "_stream", "_task", "_turn", "is_over", "partition", "watch",
    )  # fmt: skip

    def __init__(
        self,
        watch: Watch,
        shared: Shared,
        ended: Callable[["Watcher"], None],
        *,
        checks_seen: int = 0,
        partition: int | None = None,
    ) -> None:
        self.watch = watch
        self.partition = partition
        self.is_over = False
        self._shared = shared
        self._story = Story(shared.tracing, watch) if shared.tracing.traces(watch) else None
        self._ended = ended
        self._stream = StreamClock(down_since=_now())
        self._alarm: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn: Turn | None = None
        self._lost: tuple[datetime, str] | None = None
        self._progress = -1.0
        self._has_url = self._is_sent = False
        self._news: tuple[object, ...] | None = None
        self._clock = WatchClock(tracked_at=_at(watch.tracked_at), deadline_at=_at(watch.deadline_at), news_at=_now())
        if watch.check > checks_seen:
            self._clock.ask()

    @property
    def deadline_at(self) -> float:
        """In the loop's time."""
        return self._clock.deadline_at

    def is_live(self, now: float) -> bool:
        """Whether its stream would tell what is said now."""
        return not self.is_over and self._stream.is_live(now)

    def start(self, stream: StreamClock) -> None:
        """Begin, listening to this stream."""
        self._stream = stream
        self.wake()

    def stop(self) -> None:
        """No look from now on."""
        self._end_story("stopped")
        self.is_over = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._task is not None:
            self._task.cancel()

    def rely_on(self, stream: StreamClock) -> None:
        """Listen to another stream from now on."""
        now = _now()
        self._clock.moved(self._stream, stream, now)
        self._stream = stream
        if stream.live_at is not None:
            self.sighted(stream)
        self.wake()

    def relies_on(self, stream: StreamClock) -> bool:
        return self._stream is stream

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
        if self._task is None and not self.is_over:
            self._wait()

    def look_again(self) -> None:
        """Something may have been missed."""
        self._clock.signalled = True
        self.wake()

    def blinded(self, stream: StreamClock, since: datetime, cause: str) -> None:
        """A stream was lost that had been live. If it was the one this watch relies on, a gap begins."""
        if self.relies_on(stream) and self._lost is None:
            self._lost = since, cause
            self._note("stream lost", cause=cause)

    def sighted(self, stream: StreamClock) -> None:
        """A stream is live. If this watch relies on it, a gap ends, and is told: a look follows."""
        if self._lost is None or not self.relies_on(stream):
            return
        (since, cause), self._lost = self._lost, None
        self._note("stream live again")
        until = max(since, utcnow())
        metrics.GAP_SECONDS.observe((until - since).total_seconds())
        watch = self.watch
        self.tell(
            Gap(
                file_id=watch.file_id,
                generation=watch.generation,
                observed_at=until,
                since=since,
                until=until,
                cause=cause,
            )
        )

    def tell(self, observation: Observation) -> None:
        """Send on what was seen of the file."""
        self._shared.outbox.put(observation, self.partition)

    def saw(self, seen: Sequence[Observation], ignored: Sequence[Ignored]) -> None:
        """The stream told something of this file, or nothing that names one."""
        knew_end = self._clock.awaits_url
        for each in seen:
            self.tell(each)
            self._learn(each)
        # A `task` and a `task_status` tell the same end: it was asked about, and polls go on.
        if asks_for_look(seen, ignored) and not (knew_end and seen and awaits_url(seen[-1])):
            self.look_again()

    def saw_unnamed(self, *, is_end: bool) -> None:
        """A shared stream told something, and not of which file: a reason to look, at a pace, until there is a URL."""
        if not self._has_url:
            self._clock.unnamed(_now(), self._shared.settings, is_end=is_end)
            self.wake()

    def _wait(self) -> None:
        """Look now if a look is due, else be back when the next one is."""
        look = next_look(self._shared.settings, self._stream, self._clock, _now())
        if look.at <= _now():
            self._task = self._shared.tasks.create_task(self._work(), name=f"watch {self.watch.file_id}")
        elif self._alarm is None or look.at < self._alarm.when():
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = asyncio.get_running_loop().call_at(look.at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.wake()

    async def _work(self) -> None:
        """All looks that are due. After the one at the deadline, which may take some tries, the expiry is told."""
        while (look := next_look(self._shared.settings, self._stream, self._clock, _now())).at <= _now():
            if look.why == "deadline":
                await self._look_last()
                self._expire()
                return
            if look.why in ("events", "job"):
                metrics.RINGS.labels(look.why).inc()
            await self._look(look.why, until=self._clock.deadline_at)
        self._task = None
        self._wait()

    def _expire(self) -> None:
        watch = self.watch
        self._end_story("expired")
        self.is_over = True
        log.info("watch expired", file_id=watch.file_id, generation=watch.generation)
        self.tell(Expired(file_id=watch.file_id, generation=watch.generation, observed_at=utcnow()))
        self._ended(self)

    async def _look_last(self) -> None:
        """The look at the deadline, tried again for a while.

        While it is we who keep it waiting (a full send buffer, a long line), or the upstream bids us wait, or refuses
        the token, nobody has looked: that time does not count.
        """
        shared, clock = self._shared, self._clock
        seconds = shared.settings.last_look_seconds
        limit = _now() + seconds
        while (end := await self._look("deadline", until=limit)) not in ("answered", "not_found"):
            if end == "unsent" and not shared.budget.is_failing:
                limit = _now() + seconds
            elif end == "refused" and shared.budget.is_refused:
                await asyncio.sleep(max(0, clock.not_before - _now()))
                limit = _now() + seconds
            else:
                await asyncio.sleep(max(0, min(limit, clock.not_before) - _now()))
                if _now() >= limit:
                    return

    async def _look(self, why: Why, until: float) -> _End:
        """One GET of the file, in its turn, broken off at `until`."""
        try:
            async with asyncio.timeout_at(until) as limit:
                end = await self._look_in_turn(why, limit)
        except TimeoutError:
            if self._is_sent:
                self._clock.failed(_now(), None, self._shared.settings, self._shared.roll)
                end = "late"
            else:
                end = "unsent"
        finally:
            self._turn, self._is_sent = None, False
        metrics.LOOKS.labels(why, end).inc()
        self._note("look", why=why, end=end)
        return end

    async def _look_in_turn(self, why: Why, limit: asyncio.Timeout) -> _End:
        shared, clock = self._shared, self._clock
        await shared.outbox.room()
        self._turn = shared.budget.looks.turn(_RANKS[why], clock.deadline_at)
        source: Source = "poll"
        try:
            async with self._turn:
                sent_at, self._is_sent = _now(), True
                if why == "deadline":  # the wait for its turn does not count
                    limit.reschedule(sent_at + shared.settings.last_look_seconds)
                source = "check" if clock.sent(sent_at) else "poll"
                body = await shared.client.get_file(self.watch.file_id)
        except NotFound:
            if clock.missed(_now(), shared.settings, shared.roll):
                self._tell_not_found(source)
            return "not_found"
        except Trouble as error:
            clock.failed(_now(), error.after, shared.settings, shared.roll)
            return "refused" if isinstance(error, Unauthorized) else "failed"
        if not self._read(body, source):
            clock.failed(_now(), None, shared.settings, shared.roll)
            return "failed"
        clock.answered(why, sent_at, shared.settings, shared.roll)
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
            told, self._news = self._news, gist(seen)
            if isinstance(seen, Progress) or self._news != told:
                clock.news_at = _now()
        if isinstance(seen, Progress):
            self._progress = max(self._progress, seen.progress)
        elif url_of(seen) is not None:
            clock.awaits_url = False
            if not self._has_url:
                self._note("result", source=seen.source)
            (metrics.REPEATED if self._has_url else metrics.WON).labels(seen.source).inc()
            self._has_url = True
        elif awaits_url(seen):
            if not clock.awaits_url:
                clock.awaits(_now(), self._shared.settings)
                self.wake()
        elif isinstance(seen, TaskChange):
            clock.awaits_url = False

    def _note(self, name: str, **facts: str) -> None:
        if self._story is not None:
            self._story.note(name, **facts)

    def _end_story(self, end: str) -> None:
        story, self._story = self._story, None
        if story is not None:
            story.tell(end)

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
