"""Channels and who listens to them. There is no replay: what is said while nobody listens is gone."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from rendercast.simulator.frames import Frame

INBOX_FRAMES = 256

Inbox = asyncio.Queue[Frame | None]
"""What one stream has still to send. None: the stream is to end."""


class Hub:
    """A pub/sub in memory. A listener that is `INBOX_FRAMES` behind is cut off."""

    def __init__(self) -> None:
        self._channels: dict[str, set[Inbox]] = {}
        self._closed = False

    @property
    def listeners(self) -> int:
        return sum(map(len, self._channels.values()))

    def heard(self, channel: str) -> bool:
        """Whether anybody listens."""
        return channel in self._channels

    @contextmanager
    def subscribe(self, channel: str) -> Iterator[Inbox]:
        """Live from here to the end of the block."""
        inbox: Inbox = asyncio.Queue(INBOX_FRAMES)
        listeners = self._channels.setdefault(channel, set())
        listeners.add(inbox)
        if self._closed:
            _end(inbox)
        try:
            yield inbox
        finally:
            listeners.discard(inbox)
            if not listeners and self._channels.get(channel) is listeners:
                del self._channels[channel]

    def publish(self, channel: str, frames: list[Frame]) -> None:
        for inbox in tuple(self._channels.get(channel, ())):
            for frame in frames:
                if inbox.full():
                    _end(inbox)
                    self._channels[channel].discard(inbox)
                    break
                inbox.put_nowait(frame)

    def close(self) -> None:
        """End every stream, those that come later too."""
        self._closed = True
        for listeners in self._channels.values():
            for inbox in listeners:
                _end(inbox)


def _end(inbox: Inbox) -> None:
    while not inbox.empty():
        inbox.get_nowait()
    inbox.put_nowait(None)
