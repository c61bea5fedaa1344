"""One channel's event stream, kept open for the watches that listen to it."""

import asyncio
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog

from connectors.upstream import metrics
from connectors.upstream.errors import Trouble
from connectors.upstream.frames import Frame
from connectors.upstream.parser import Broken, Channel, Ignored, Parsed, Sight, parse_frame
from connectors.upstream.policy import StreamClock, backoff
from connectors.upstream.watch import Shared, Watcher
from schemas import utcnow

log = structlog.get_logger()


class Stream:
    """The watches on it are told what their files' frames say, and when it opens, is lost, and is back."""

    def __init__(self, channel: Channel, shared: Shared) -> None:
        self.channel = channel
        self.clock = StreamClock(down_since=asyncio.get_running_loop().time())
        self._shared = shared
        self._watchers: dict[str, Watcher] = {}
        self._generations: dict[str, str] = {}
        self._is_live = False
        self._lost: tuple[datetime, str] | None = None

    def attach(self, watcher: Watcher) -> None:
        """A watch listens from now on. One of a newer generation takes the place of the older."""
        self._watchers[watcher.watch.file_id] = watcher
        self._generations[watcher.watch.file_id] = watcher.watch.generation

    def detach(self, watcher: Watcher) -> bool:
        """A watch listens no more; whether nobody does."""
        if self._watchers.get(watcher.watch.file_id) is watcher:
            del self._watchers[watcher.watch.file_id], self._generations[watcher.watch.file_id]
        return not self._watchers

    async def run(self) -> None:
        """Connect, listen, and connect again, until cancelled."""
        shared, clock = self._shared, self.clock
        while True:
            await shared.outbox.room()
            async with shared.budget.connects.turn(min(each.deadline_at for each in self._watchers.values())):
                pass  # connects are paced only: an open stream holds no place
            trouble = await self._listen()
            shared.budget.heed(trouble)
            wait = max(trouble.after or 0, backoff(shared.settings, clock.attempts, shared.roll))
            clock.attempts += 1
            await asyncio.sleep(wait)

    async def _listen(self) -> Trouble:
        """One connection, from beginning to end; how it ended."""
        trouble = Trouble("ended", "the upstream ended the stream")
        try:
            async with aclosing(self._shared.client.events(self.channel, self._opened, self._heard)) as frames:
                async for frame in frames:
                    self._take(frame)
                    if self._shared.outbox.is_full:
                        await self._wait_for_room()
        except Trouble as error:
            trouble = error
        finally:
            metrics.STREAMS.dec(self.clock.opened_at is not None)
        metrics.LOST.labels(trouble.cause).inc()
        self._end(trouble)
        return trouble

    def _opened(self) -> None:
        self.clock.opened(asyncio.get_running_loop().time(), self._shared.settings)
        self._shared.budget.worked()
        metrics.STREAMS.inc()
        self._check_liveness()

    def _heard(self) -> None:
        if self.clock.heard(asyncio.get_running_loop().time()):
            self._check_liveness()

    def _check_liveness(self) -> None:
        """Tell the gap once the stream is live again, and wake all: a look is due."""
        if not self._is_live and self.clock.live_at is not None:
            self._is_live = True
            if self._lost is not None:
                since, cause = self._lost
                self._lost = None
                for each in self._watchers.values():
                    each.missed(since, utcnow(), cause)
        for each in self._watchers.values():
            each.wake()

    def _end(self, trouble: Trouble) -> None:
        now = asyncio.get_running_loop().time()
        if self._is_live:
            self._is_live = False
            silence = now - (self.clock.byte_at or now) if trouble.cause == "silent" else 0
            self._lost = (utcnow() - timedelta(seconds=silence), trouble.cause)
            log.debug("stream lost", channel=str(self.channel), cause=trouble.cause)
        self.clock.lost(now, self._shared.settings, silent=trouble.cause == "silent")
        for each in self._watchers.values():
            each.wake()

    def _take(self, frame: Frame) -> None:
        seen = self._parse(frame)
        for observation in seen.observations:
            if watcher := self._watchers.get(observation.file_id):
                watcher.tell(observation)
            else:
                metrics.IGNORED.labels("not_watched").inc()
        for ignored in seen.ignored:
            metrics.IGNORED.labels(ignored.reason).inc()
        for broken in seen.broken:
            self._shared.bury(broken, str(self.channel), self.channel.id)
        self.clock.event_at = asyncio.get_running_loop().time()
        for file_id, watcher in self._watchers.items():
            watcher.saw([each for each in seen.observations if each.file_id == file_id], seen.ignored)

    def _parse(self, frame: Frame) -> Parsed:
        if frame.too_long:
            return Parsed(broken=(Broken("too_long", frame.data.encode("utf-8", "surrogateescape")),))
        seen = parse_frame(frame.data, self.channel, Sight("sse", utcnow(), self._generations))
        if frame.cut and seen.broken:  # half a frame is the end of a stream, not a fault of the upstream
            return Parsed(ignored=(Ignored("cut"),))
        return seen

    async def _wait_for_room(self) -> None:
        """Reading stops, and TCP pushes back. After so long a silence that a stream would be dead of, look again."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._shared.outbox.room()
        if loop.time() - began >= self._shared.settings.bytes_seconds:
            for each in self._watchers.values():
                each.look_again()
