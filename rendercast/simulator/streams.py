"""`GET /api/v1/events/{channel}`: one SSE stream, and what goes wrong with streams."""

import asyncio
from contextlib import suppress
from math import inf

from aiohttp import web

from rendercast.simulator.chance import pick, uniform
from rendercast.simulator.frames import BOM, TEST, Frame, disguise, ping
from rendercast.simulator.hub import Inbox
from rendercast.simulator.lies import nameless, prefixed
from rendercast.simulator.wire import MOST_PIECES, PAGE, Wire, reset
from rendercast.simulator.world import World
from schemas.base import utcnow

CUT_SECONDS = 0.2
EVERY_CUT_SECONDS = 0.001
_FATES = (
    "stream_524", "stream_silent", "stream_reset", "stream_drop", "stream_test",
    "stream_slow", "stream_bytes", "stream_gzip", "stream_wrong_type", "stream_page", "stream_html",
    "stream_broken_chunk",
)  # fmt: skip
_ENDS_EARLY = frozenset({
    "stream_reset", "stream_drop", "stream_test", "stream_html", "stream_broken_chunk",
})  # fmt: skip
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_WRONG_TYPES = ("text/plain; charset=utf-8", "application/octet-stream", "application/json", "text/html")
_PROXY_PAGE = "<html><head><title>524: A timeout occurred</title></head><body>error code: 524</body></html>"
_BROKEN_CHUNKS = (b"zz\r\n" + PAGE.encode(), b"ffff\r\ndata: {", b"-1\r\n\r\n")


class Stream:
    """One connection. What befalls it is drawn from its channel and its number among the channel's connections."""

    def __init__(self, world: World, channel: str) -> None:
        self._world = world
        self._channel = channel
        self._file_id = channel.partition(".")[2]
        world.connects[channel] += 1
        self._key = (channel, world.connects[channel])
        self._fate = next((each for each in _FATES if self._falls(each)), None)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        with self._world.hub.open(self._channel) as inbox:
            return await self._serve(request, inbox)

    async def _serve(self, request: web.Request, inbox: Inbox) -> web.StreamResponse:
        settings = self._world.settings
        if self._fate == "stream_524":
            await inbox.pause(self._world.seconds(settings.timeout_524_seconds))
            return web.Response(status=524, reason="A timeout occurred", text=_PROXY_PAGE, content_type="text/html")
        if self._fate == "stream_page":
            return web.Response(text=PAGE, content_type="text/html")
        response = web.StreamResponse(headers=self._headers())
        wire = Wire(
            response,
            inbox.pause,
            step=1 if self._fate in {"stream_slow", "stream_bytes"} else None,
            rest=settings.slow_byte_seconds if self._fate == "stream_slow" else 0,
            gzip=self._fate == "stream_gzip",
        )
        with suppress(ConnectionError, TimeoutError):  # the client has gone, or reads no more
            await response.prepare(request)
            if self._fate == "stream_silent":
                await inbox.ended.wait()  # when the client leaves before, aiohttp cancels this handler
            else:
                await self._talk(wire, inbox)
            await self._end(request, wire, inbox)
        return response

    def _headers(self) -> dict[str, str]:
        if self._fate == "stream_gzip":
            return {**_HEADERS, "Content-Encoding": "gzip"}
        if self._fate == "stream_wrong_type":
            return {**_HEADERS, "Content-Type": pick(_WRONG_TYPES, self._world.settings.seed, *self._key, "type")}
        return _HEADERS

    async def _talk(self, wire: Wire, inbox: Inbox) -> None:
        """Send what the channel says, up to the end of the stream."""
        world, settings = self._world, self._world.settings
        if self._falls("junk", "start"):
            await wire.send(BOM)
        if self._falls("late_subscription"):
            await inbox.pause(world.seconds(settings.subscription_seconds))
        life = world.seconds(settings.broken_after_seconds) * (0.2 + 0.8 * uniform(settings.seed, *self._key, "life"))
        end = world.now() + life if self._fate in _ENDS_EARLY else inf
        next_ping = world.now() + settings.ping_seconds
        ordinal = 0
        world.hub.listen(inbox)
        while world.now() < end:
            try:
                async with asyncio.timeout_at(min(end, next_ping)):
                    frame = await inbox.get()
            except TimeoutError:
                if world.now() >= next_ping:
                    next_ping += settings.ping_seconds
                    if not self._is_stalled():
                        await wire.send(ping(utcnow()))
                continue
            if frame is None:
                return
            if not self._is_stalled():
                ordinal += 1
                await self._tell(frame, ordinal, wire, inbox)

    async def _end(self, request: web.Request, wire: Wire, inbox: Inbox) -> None:
        if inbox.is_reset:
            return reset(request.transport)
        if inbox.ended.is_set():
            return await wire.finish()
        match self._fate:
            case "stream_test":
                await wire.send(TEST)
            case "stream_html":
                await wire.send(b'data: {"type":"render_pro' + PAGE.encode())
            case "stream_broken_chunk" if request.transport is not None:
                request.transport.write(pick(_BROKEN_CHUNKS, self._world.settings.seed, *self._key, "chunk"))
                request.transport.close()
            case "stream_reset":
                reset(request.transport)
        return None

    async def _tell(self, frame: Frame, ordinal: int, wire: Wire, inbox: Inbox) -> None:
        seed = self._world.settings.seed
        if self._falls("prefixed_ids", ordinal):
            frame = frame.changed(prefixed(frame.payload))
        if self._is_shared and self._falls("nameless_frames", ordinal):
            frame = frame.changed(nameless(frame.payload))
        body = disguise(frame, seed, *self._key, ordinal) if self._falls("junk", ordinal) else frame.body
        cuts, rest = [len(body)], 0.0
        if len(body) <= MOST_PIECES and self._falls("frame_every_cut", ordinal):
            cuts, rest = list(range(1, len(body))), EVERY_CUT_SECONDS
        elif self._falls("frame_cut", ordinal):
            cuts, rest = [1 + int(uniform(seed, *self._key, ordinal, "cut") * (len(body) - 1))], CUT_SECONDS
        if self._falls("duplicate_frames", ordinal):
            cuts *= 2
        for cut in cuts:
            await wire.send(body[:cut])
            if cut < len(body):
                await inbox.pause(rest)
                await wire.send(body[cut:])
            self._world.sent(frame, self._channel)
            if inbox.ended.is_set():
                return

    def _is_stalled(self) -> bool:
        """Whether it has to be silent now; what would be said is gone."""
        world = self._world
        stalled = world.outages.stalled(self._channel, now=world.now())
        if stalled:
            for tally in world.tallies(self._file_id):
                tally.broken["stall"] += 1
        return stalled

    @property
    def _is_shared(self) -> bool:
        return not self._channel.startswith("file.")

    def _falls(self, fault: str, *key: object) -> bool:
        return self._world.falls(fault, self._file_id, *self._key, *key)
