"""One channel's event stream, kept open for the watches that listen to it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal

import structlog

from connectors.upstream import metrics
from connectors.upstream.budget import Rank
from connectors.upstream.client import Subscription
from connectors.upstream.errors import Trouble
from connectors.upstream.frames import Frame
from connectors.upstream.parser import Broken, Channel, Ignored, Parsed, Sight, parse_frame
from connectors.upstream.policy import StreamClock, backoff
from connectors.upstream.shared import Shared
from connectors.upstream.signals import Echoes, is_unnamed, may_be_end
from connectors.upstream.watch import Watcher
from schemas import Observation, utcnow

log = structlog.get_logger()

State = Literal["disconnected", "connecting", "connected"]


class Stream:
    """Tells the watches on it what their files' frames say, and when it opens, is lost, and is back.

    Beside those, `hopefuls` are watches that listen elsewhere and would move here: `carried` is called with each whose
    file a frame names. `changed` is called when the stream opens and when it is lost.
    """

    __slots__ = (
        "_carried", "_changed", "_echoes", "_generations", "_is_live", "_shared", "_state", "_watchers", "channel",
        "clock", "hopefuls",
    )  # fmt: skip

    def __init__(
        self,
        channel: Channel,
        shared: Shared,
        carried: Callable[["Stream", Watcher], None] = lambda *_: None,
        changed: Callable[["Stream"], None] = lambda _: None,
    ) -> None:
        self.channel = channel
        self.clock = StreamClock(down_since=asyncio.get_running_loop().time())
        self.hopefuls: dict[str, Watcher] = {}
        self._shared = shared
        self._carried = carried
        self._changed = changed
        self._watchers: dict[str, Watcher] = {}
        self._generations: dict[str, str] = {}
        self._echoes = Echoes() if channel.kind != "file" else None
        self._is_live = False
        self._state: State = "disconnected"

    def attach(self, watcher: Watcher) -> None:
        """A watch listens from now on. One of a newer generation takes the place of the older."""
        self.hopefuls.pop(watcher.watch.file_id, None)
        self._watchers[watcher.watch.file_id] = watcher
        self._generations[watcher.watch.file_id] = watcher.watch.generation

    def hope(self, watcher: Watcher) -> None:
        """A watch listens elsewhere, and would move here."""
        self.hopefuls[watcher.watch.file_id] = watcher
        self._generations[watcher.watch.file_id] = watcher.watch.generation

    def detach(self, watcher: Watcher) -> None:
        """A watch listens no more, and hopes no more."""
        file_id = watcher.watch.file_id
        for each in (self._watchers, self.hopefuls):
            if each.get(file_id) is watcher:
                del each[file_id]
        if file_id not in self._watchers and file_id not in self.hopefuls:
            self._generations.pop(file_id, None)

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens or hopes."""
        return not self._watchers and not self.hopefuls

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        return tuple(self._watchers.values())

    async def run(self) -> None:
        """Connect, listen, and connect again, until cancelled."""
        shared, clock = self._shared, self.clock
        self._enter("disconnected", is_first=True)
        try:
            while True:
                await shared.outbox.room()
                after = await self._connect_and_listen()
                wait = max(after, backoff(shared.settings, clock.attempts, shared.roll))
                clock.attempts += 1
                await asyncio.sleep(wait)
        finally:
            metrics.STREAMS.labels(self.channel.kind, self._state).dec()

    async def _connect_and_listen(self) -> float:
        """One connection, from beginning to end. Seconds to wait at least, if the upstream named some.

        Its errors stay in here: they hold the connection that they ended.
        """
        try:
            subscription = await self._connect()
        except Trouble as error:
            metrics.CONNECTS.labels(error.cause).inc()
            self._end(error.cause)
            return error.after or 0
        metrics.CONNECTS.labels("open").inc()
        try:
            self._opened()
            cause = await self._listen(subscription)
        finally:
            await subscription.close()
        metrics.LOST.labels(cause).inc()
        self._end(cause)
        return 0

    async def _connect(self) -> Subscription:
        shared = self._shared
        async with shared.budget.connects.turn(Rank.GAP, self._nearest_deadline()):
            self._enter("connecting")
            with metrics.REQUEST_SECONDS.labels("connect").time():
                return await shared.client.subscribe(self.channel)

    async def _listen(self, subscription: Subscription) -> str:
        """Read until the stream ends, or the bytes clock rings; the cause of its end."""
        try:
            await self._read(subscription)
        except Trouble as error:
            return error.cause
        except TimeoutError:
            metrics.RINGS.labels("bytes").inc()
            return "silent"
        return "ended"

    async def _read(self, subscription: Subscription) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:
            bytes_clock = _BytesClock(self.clock, self._shared, limit)
            try:
                while (frames := await subscription.read()) is not None:
                    if self.clock.heard(loop.time()):
                        self._first_byte()
                    self._take(frames)
                    if self._shared.outbox.is_full:
                        await self._wait_for_room(bytes_clock)
            finally:
                bytes_clock.stop()
        self._take(subscription.finish())

    def _opened(self) -> None:
        self.clock.opened(asyncio.get_running_loop().time(), self._shared.settings)
        self._enter("connected")
        self._check_liveness()

    def _first_byte(self) -> None:
        clock = self.clock
        if clock.opened_at is not None and clock.first_byte_at is not None:
            metrics.FIRST_BYTE_SECONDS.observe(clock.first_byte_at - clock.opened_at)
        self._check_liveness()

    def _check_liveness(self) -> None:
        """Wake all once the stream is live, and tell it: a look is due, and a gap may have ended."""
        if not self._is_live and self.clock.live_at is not None:
            self._is_live = True
            for each in self._watchers.values():
                each.sighted(self.clock)
        self._tell_change()

    def _end(self, cause: str) -> None:
        now = asyncio.get_running_loop().time()
        clock = self.clock
        if self._is_live:
            self._is_live = False
            silence = now - (clock.byte_at or now) if cause == "silent" else 0
            since = utcnow() - timedelta(seconds=silence)
            for each in self._watchers.values():
                each.blinded(clock, since, cause)
            log.debug("stream lost", channel=str(self.channel), cause=cause)
        clock.lost(now, self._shared.settings, silent=cause == "silent")
        self._enter("disconnected")
        self._tell_change()

    def _tell_change(self) -> None:
        for each in self._watchers.values():
            each.wake()
        self._changed(self)

    def _take(self, frames: Sequence[Frame]) -> None:
        if frames:
            self.clock.event_at = asyncio.get_running_loop().time()
            sight = Sight("sse", utcnow(), self._generations)
            for frame in frames:
                self._pass_on(self._parse(frame, sight))

    def _pass_on(self, seen: Parsed) -> None:
        for ignored in seen.ignored:
            metrics.IGNORED.labels(ignored.reason).inc()
        for broken in seen.broken:
            self._shared.bury(broken, str(self.channel), self.channel.id)
        if seen.observations:  # one frame is about one file
            self._pass_to_one(seen.observations[0].file_id, seen.observations, seen.ignored)
        elif seen.ignored:
            self._pass_to_all(seen.ignored)

    def _pass_to_all(self, ignored: Sequence[Ignored]) -> None:
        """Nothing in the frame is said of a certain file."""
        if self._echoes is not None and self._echoes.explain(ignored, asyncio.get_running_loop().time()):
            return
        is_nobodys = self.channel.kind != "file" and is_unnamed(ignored)
        for watcher in self.watchers:
            if is_nobodys:
                watcher.saw_unnamed(is_end=may_be_end(ignored))
            else:
                watcher.saw((), ignored)

    def _pass_to_one(self, file_id: str, seen: Sequence[Observation], ignored: Sequence[Ignored]) -> None:
        if self._echoes is not None:
            now, seconds = asyncio.get_running_loop().time(), self._shared.settings.look_gap_seconds
            self._echoes.hear(seen, now, seconds)
        if hopeful := self.hopefuls.get(file_id):
            self._carried(self, hopeful)
        if watcher := self._watchers.get(file_id):
            watcher.saw(seen, ignored)
        else:
            metrics.IGNORED.labels("not_watched").inc(len(seen))

    def _parse(self, frame: Frame, sight: Sight) -> Parsed:
        if frame.too_long:
            return Parsed(broken=(Broken("too_long", frame.data.encode("utf-8", "surrogateescape")),))
        seen = parse_frame(frame.data, self.channel, sight)
        if frame.cut and seen.broken:  # half a frame is the end of a stream, not a fault of the upstream
            return Parsed(ignored=(Ignored("cut"),))
        return seen

    async def _wait_for_room(self, bytes_clock: "_BytesClock") -> None:
        """Reading stops, and TCP pushes back. After a while of that something may have been missed: look again."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        bytes_clock.is_held = True
        await self._shared.outbox.room()
        self.clock.byte_at = loop.time()  # who is held up by Kafka has not lost a stream
        bytes_clock.is_held = False
        if loop.time() - began >= self._shared.settings.look_gap_seconds:
            for each in self.watchers:
                each.look_again()

    def _nearest_deadline(self) -> float:
        listening = (*self._watchers.values(), *self.hopefuls.values())
        return min((each.deadline_at for each in listening), default=0)

    def _enter(self, state: State, *, is_first: bool = False) -> None:
        if not is_first:
            metrics.STREAMS.labels(self.channel.kind, self._state).dec()
        metrics.STREAMS.labels(self.channel.kind, state).inc()
        self._state = state


class _BytesClock:
    """Ends the reading when the bytes clock rings. It is wound up again only when it would ring, not for each byte."""

    __slots__ = ("_alarm", "_clock", "_limit", "_shared", "is_held")

    def __init__(self, clock: StreamClock, shared: Shared, limit: asyncio.Timeout) -> None:
        self._clock = clock
        self._shared = shared
        self._limit = limit
        self.is_held = False
        self._wind_up()

    def stop(self) -> None:
        self._alarm.cancel()

    def _wind_up(self) -> None:
        loop = asyncio.get_running_loop()
        settings = self._shared.settings
        rings_at = loop.time() + settings.bytes_seconds if self.is_held else self._clock.dead_at(settings)
        self._alarm = loop.call_at(rings_at, self._ring)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.is_held or self._clock.dead_at(self._shared.settings) > now:
            self._wind_up()
        else:
            self._limit.reschedule(now)
