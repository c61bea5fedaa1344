"""The answer that never ends: a stream of server-sent events, as an ASGI response of its own.

Written by hand for its bounds: a queue per reader, a deadline for every write, and one place that ends all streams.
(sse-starlette replaces a method of uvicorn's server when it is imported.)
"""

import asyncio
import contextlib
import functools
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.gateway import frames, metrics
from connectors.gateway.alarm import Alarm
from connectors.gateway.board import Board
from connectors.gateway.compression import Gzip, accepts_gzip
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.shapes import Native, Shape, ShapeName, shape_of
from connectors.gateway.subscriber import Subscriber

CHUNK_BYTES = 32_768
HEADERS = {"Cache-Control": "no-transform, no-cache", "Vary": "Accept-Encoding", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """First a snapshot, or what was missed since `last_event_id`; then every change of the channels."""

    media_type = "text/event-stream"

    def __init__(
        self,
        board: Board,
        settings: GatewaySettings,
        channels: tuple[str, ...],
        last_event_id: str | None,
        *,
        seconds: float | None = None,
        held: AbstractContextManager[None] | None = None,
        shape: ShapeName | Callable[[Subscriber], Shape] = "native",
    ) -> None:
        """`seconds`: how long the reader may read. `held` is entered for as long as it does.

        `shape` is one of the two that every stream can have, or what makes another.
        """
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._board, self._settings = board, settings
        self._channels, self._last_event_id = channels, last_event_id
        self._seconds, self._held = seconds, held or contextlib.nullcontext()
        self._shape = shape
        self._gzip: Gzip | None = None
        self._is_silent = self._is_sending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if accepts_gzip(Headers(scope=scope).get("accept-encoding", "")):
            self._gzip = Gzip()
            self.headers["Content-Encoding"] = "gzip"
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body"})
            return
        # Before anything is awaited: whoever saw room for this stream a moment ago has it.
        with self._held, self._board.joined(self._channels) as subscriber:
            await send(start)
            leaving = asyncio.create_task(_notice_leaving(receive, subscriber))
            expiry = None
            if self._seconds is not None:
                expiry = asyncio.get_running_loop().call_later(self._seconds, subscriber.end, "expired")
            try:
                async with asyncio.timeout(None) as limit:
                    with Alarm(functools.partial(self._be_late, subscriber, limit)) as self._alarm:
                        await asyncio.create_task(self._write(self._shape_for(subscriber), subscriber, send))
            except TimeoutError:  # not even the goodbye would arrive: returning now makes the server close
                metrics.SLOW_READERS.inc()
            finally:
                if expiry is not None:
                    expiry.cancel()
                leaving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await leaving

    def _be_late(self, subscriber: Subscriber, limit: asyncio.Timeout) -> None:
        """Nothing was written for so long: a write hangs, or there was nothing to write."""
        if self._is_sending:
            limit.reschedule(0)
        else:
            self._is_silent = True
            subscriber.wake()

    def _shape_for(self, subscriber: Subscriber) -> Shape:
        if callable(self._shape):
            return self._shape(subscriber)
        return shape_of(self._shape, self._board, subscriber, self._last_event_id)

    async def _write(self, shape: Shape, subscriber: Subscriber, send: Send) -> None:
        # Readers that lost the same gateway do not all come back in the same moment.
        retry_seconds = self._settings.retry_seconds * random.uniform(1, 2)  # noqa: S311 - no secret
        await self._send(send, shape.opening(retry_seconds))
        while not self._board.loaded and not subscriber.ended:
            await subscriber.woken()
            if self._is_silent:
                await self._send(send, frames.comment("the jobs are being read"))
        if not subscriber.ended and isinstance(shape, Native):
            await shape.catch_up()
        if not subscriber.ended:
            await self._send_all(send, shape.beginning())
            self._rest()
            await self._follow(shape, subscriber, send)
        farewell = shape.farewell(subscriber.ended or "gone")
        if farewell:
            await self._send(send, farewell, more=False)
        if subscriber.ended == "slow":
            metrics.SLOW_READERS.inc()

    async def _follow(self, shape: Shape, subscriber: Subscriber, send: Send) -> None:
        while True:
            changes = subscriber.take()
            parts = shape.changes(changes) if changes else []
            if parts:  # in the upstream's shape not every change has something to say
                await self._send_all(send, parts)
            elif subscriber.ended and not changes:
                return
            elif self._is_silent:
                await self._send(send, shape.ping())
                self._rest()
            elif not changes:
                await subscriber.woken()

    async def _send_all(self, send: Send, parts: list[bytes]) -> None:
        for chunk in _chunks(parts):
            await self._send(send, chunk)
        metrics.EVENTS_SENT.inc(len(parts))

    def _rest(self) -> None:
        if self._gzip is not None:
            self._gzip.rest()

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        if self._gzip is not None:
            body = self._gzip.part(body, more=more)
        self._is_sending = True
        self._alarm.set(self._settings.send_timeout_seconds)
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._is_sending = self._is_silent = False
        self._alarm.set(self._settings.ping_seconds)


async def _notice_leaving(receive: Receive, subscriber: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscriber.end("gone")


def _chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Joined to about CHUNK_BYTES: few system calls, and never all that waits in one piece of memory."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
