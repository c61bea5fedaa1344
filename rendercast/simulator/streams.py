"""`GET /api/v1/events/{channel}`: one SSE stream, and what goes wrong with streams."""

import asyncio
import contextlib
import socket
import struct
from math import inf

from aiohttp import web

from rendercast.simulator.chance import uniform
from rendercast.simulator.frames import BOM, TEST, Frame, disguise, ping
from rendercast.simulator.world import World
from schemas.base import utcnow

CUT_SECONDS = 0.2
WRITE_SECONDS = 30  # a reader that takes nothing for so long is left
_FATES = ("stream_524", "stream_silent", "stream_reset", "stream_drop", "stream_test")
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_PROXY_PAGE = "<html><head><title>524: A timeout occurred</title></head><body>error code: 524</body></html>"


class Stream:
    """One connection. What befalls it is drawn from its channel and its number among the channel's connections."""

    def __init__(self, world: World, stopping: asyncio.Event, channel: str) -> None:
        self._world = world
        self._stopping = stopping
        self._channel = channel
        world.connects[channel] += 1
        self._key = (channel, world.connects[channel])
        self._rates = world.rates(channel.partition(".")[2])
        self._fate = next((each for each in _FATES if self._falls(each)), None)
        self._response = web.StreamResponse(headers=_HEADERS)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._fate == "stream_524":
            await self._pause(self._world.seconds(self._world.settings.timeout_524_seconds))
            return web.Response(status=524, reason="A timeout occurred", text=_PROXY_PAGE, content_type="text/html")
        await self._response.prepare(request)
        if self._fate == "stream_silent":
            await self._stopping.wait()  # when the client leaves before, aiohttp cancels this handler
            return self._response
        with contextlib.suppress(ConnectionError, TimeoutError):  # the client has gone, or reads no more
            await self._talk()
            if self._fate == "stream_test":
                await self._send(TEST)
            if self._fate == "stream_reset":
                _reset(request)
        return self._response

    async def _talk(self) -> None:
        """Send what the channel says, up to the end of the stream."""
        world, settings = self._world, self._world.settings
        now = asyncio.get_running_loop().time
        if self._falls("junk", "start"):
            await self._send(BOM)
        if self._falls("late_subscription"):
            await self._pause(world.seconds(settings.subscription_seconds))
        longest = world.seconds(settings.broken_after_seconds)
        end = inf if self._fate is None else now() + longest * (0.2 + 0.8 * uniform(settings.seed, *self._key, "life"))
        next_ping = now() + settings.ping_seconds
        ordinal = 0
        with world.hub.subscribe(self._channel) as inbox:
            while now() < end:
                try:
                    async with asyncio.timeout_at(min(end, next_ping)):
                        frame = await inbox.get()
                except TimeoutError:
                    if now() >= next_ping:
                        next_ping += settings.ping_seconds
                        await self._send(ping(utcnow()))
                    continue
                if frame is None:
                    return
                ordinal += 1
                await self._tell(frame, ordinal)

    async def _tell(self, frame: Frame, ordinal: int) -> None:
        seed = self._world.settings.seed
        body = disguise(frame, seed, *self._key, ordinal) if self._falls("junk", ordinal) else frame.body
        for _ in range(2 if self._falls("duplicate_frames", ordinal) else 1):
            if self._falls("frame_cut", ordinal):
                middle = 1 + int(uniform(seed, *self._key, ordinal, "cut") * (len(body) - 1))
                await self._send(body[:middle])
                await self._pause(CUT_SECONDS)
                await self._send(body[middle:])
            else:
                await self._send(body)
            if frame.url is not None:
                self._world.told(frame.file_id, frame.url)

    async def _send(self, piece: bytes) -> None:
        async with asyncio.timeout(WRITE_SECONDS):
            await self._response.write(piece)

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the simulator runs."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _falls(self, fault: str, *key: object) -> bool:
        return self._world.dice.falls(fault, *self._key, *key, rates=self._rates)


def _reset(request: web.Request) -> None:
    """Close with RST instead of FIN."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
