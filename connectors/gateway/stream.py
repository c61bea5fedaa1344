"""The answer that never ends: a stream of server-sent events, as an ASGI response of its own.

Written by hand for its bounds: a queue per reader, a deadline for every write, and one place that ends all streams.
(sse-starlette replaces a method of uvicorn's server when it is imported.)
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.gateway import frames, metrics
from connectors.gateway.board import Board
from connectors.gateway.compression import Gzip, accepts_gzip
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.shapes import Shape, ShapeName, shape_of
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
        shape: ShapeName = "native",
    ) -> None:
        """`seconds`: how long the reader may read. `held` is entered for as long as it does."""
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._board, self._settings = board, settings
        self._channels, self._last_event_id = channels, last_event_id
        self._seconds, self._held = seconds, held or contextlib.nullcontext()
        self._shape = shape
        self._gzip: Gzip | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if accepts_gzip(Headers(scope=scope).get("accept-encoding", "")):
            self._gzip = Gzip()
            self.headers["Content-Encoding"] = "gzip"
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return
        with self._held, self._board.joined(self._channels) as subscriber:
            leaving = asyncio.create_task(_notice_leaving(receive, subscriber))
            expiry = None
            if self._seconds is not None:
                expiry = asyncio.get_running_loop().call_later(self._seconds, subscriber.end, "expired")
            try:
                shape = shape_of(self._shape, self._board, subscriber, self._last_event_id)
                await self._write(shape, subscriber, send)
            except TimeoutError:  # not even the goodbye would arrive: returning now makes the server close
                metrics.SLOW_READERS.inc()
            finally:
                if expiry is not None:
                    expiry.cancel()
                leaving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await leaving

    async def _write(self, shape: Shape, subscriber: Subscriber, send: Send) -> None:
        # Readers that lost the same gateway do not all come back in the same moment.
        retry_seconds = self._settings.retry_seconds * random.uniform(1, 2)  # noqa: S311 - no secret
        await self._send(send, shape.opening(retry_seconds))
        while not self._board.loaded and not subscriber.ended:
            if not await subscriber.wait(self._settings.ping_seconds):
                await self._send(send, frames.comment("the jobs are being read"))
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
        clock = asyncio.get_running_loop().time
        ping_at = clock() + self._settings.ping_seconds
        while True:
            changes = subscriber.take()
            parts = shape.changes(changes)  # in the upstream's shape not every change has something to say
            if parts:
                await self._send_all(send, parts)
            elif subscriber.ended and not changes:
                return
            elif clock() >= ping_at:
                await self._send(send, shape.ping())
                self._rest()
            else:
                if not changes:
                    await subscriber.wait(ping_at - clock())
                continue
            ping_at = clock() + self._settings.ping_seconds

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
        async with asyncio.timeout(self._settings.send_timeout_seconds):
            await send({"type": "http.response.body", "body": body, "more_body": more})


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
