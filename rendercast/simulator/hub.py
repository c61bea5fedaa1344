"""Channels and who listens to them. There is no replay: what is said while nobody listens is gone."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rendercast.simulator.frames import Frame

INBOX_FRAMES = 256


class Inbox(asyncio.Queue[Frame | None]):
    """What one stream has still to send. None: the stream is to end. `is_reset`: with a reset."""

    def __init__(self, channel: str) -> None:
        super().__init__(INBOX_FRAMES)
        self.channel = channel
        self.ended = asyncio.Event()
        self.is_reset = False

    def end(self, *, is_reset: bool = False) -> None:
        """What waits is dropped, and the stream ends."""
        while not self.empty():
            self.get_nowait()
        self.put_nowait(None)
        self.is_reset = is_reset
        self.ended.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the stream lives."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()


class Hub:
    """A pub/sub in memory. A listener that is `INBOX_FRAMES` behind is cut off."""

    def __init__(self) -> None:
        self._channels: dict[str, set[Inbox]] = {}
        self._open: set[Inbox] = set()
        self._closed = False
        self.opened = 0
        self.most_open = 0

    @property
    def listeners(self) -> int:
        """Streams whose subscription is live."""
        return sum(map(len, self._channels.values()))

    @property
    def open_now(self) -> int:
        """Streams, the deaf ones too."""
        return len(self._open)

    @property
    def open_by_channel(self) -> Counter[str]:
        return Counter(each.channel for each in self._open)

    def heard(self, channel: str) -> bool:
        """Whether anybody listens."""
        return channel in self._channels

    @contextmanager
    def open(self, channel: str) -> Iterator[Inbox]:
        """A stream that can be ended, from here to the end of the block. It hears nothing before it listens."""
        inbox = Inbox(channel)
        self._open.add(inbox)
        self.opened += 1
        self.most_open = max(self.most_open, len(self._open))
        if self._closed:
            inbox.end()
        try:
            yield inbox
        finally:
            self._open.discard(inbox)
            self._leave(inbox)

    def listen(self, inbox: Inbox) -> None:
        """The subscription is live from here."""
        if not inbox.ended.is_set():
            self._channels.setdefault(inbox.channel, set()).add(inbox)

    @contextmanager
    def subscribe(self, channel: str) -> Iterator[Inbox]:
        """Open, and live at once."""
        with self.open(channel) as inbox:
            self.listen(inbox)
            yield inbox

    def publish(self, channel: str, frames: list[Frame]) -> None:
        for inbox in tuple(self._channels.get(channel, ())):
            for frame in frames:
                if inbox.full():
                    self._end(inbox)
                    break
                inbox.put_nowait(frame)

    def end(self, concerns: Callable[[str], bool], *, is_reset: bool = False) -> int:
        """End the streams of the channels concerned. Returns how many."""
        found = [each for each in self._open if concerns(each.channel) and not each.ended.is_set()]
        for inbox in found:
            self._end(inbox, is_reset=is_reset)
        return len(found)

    def close(self) -> None:
        """End every stream, those that come later too."""
        self._closed = True
        self.end(lambda _channel: True)

    def _end(self, inbox: Inbox, *, is_reset: bool = False) -> None:
        self._leave(inbox)
        inbox.end(is_reset=is_reset)

    def _leave(self, inbox: Inbox) -> None:
        listeners = self._channels.get(inbox.channel)
        if listeners is not None:
            listeners.discard(inbox)
            if not listeners:
                del self._channels[inbox.channel]
