"""How bytes are sent: slowly, piece by piece, gzip-encoded; and how a connection is reset."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable

from aiohttp import web

WRITE_SECONDS = 30  # a reader that takes nothing for so long is left
MOST_PIECES = 4_096  # of one frame that is cut again and again
PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_LINGER_NOT = struct.pack("ii", 1, 0)

Pause = Callable[[float], Awaitable[None]]


class Wire:
    """The body of one answer. `step`: how many bytes go at a time, all of them if None; `rest`: seconds after each."""

    def __init__(
        self,
        response: web.StreamResponse,
        pause: Pause,
        *,
        step: int | None = None,
        rest: float = 0,
        gzip: bool = False,
    ) -> None:
        self._response = response
        self._pause = pause
        self._step = step
        self._rest = rest
        self._gzip = zlib.compressobj(wbits=31) if gzip else None

    async def send(self, body: bytes) -> None:
        """Raises ConnectionError or TimeoutError when nobody reads."""
        if self._gzip is not None:
            body = self._gzip.compress(body) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        for start, end in pieces(len(body), self._step):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._response.write(body[start:end])
            if self._step is not None:
                await (self._pause(self._rest) if self._rest else asyncio.sleep(0))

    async def finish(self) -> None:
        """The end of a gzip stream."""
        if self._gzip is not None:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._response.write(self._gzip.flush())


def pieces(size: int, step: int | None) -> list[tuple[int, int]]:
    """Where the pieces begin and end. Of what is long there are no more than MOST_PIECES."""
    if step is None:
        return [(0, size)]
    step = max(step, -(-size // MOST_PIECES))
    return [(start, start + step) for start in range(0, size, step)]


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Close with RST instead of FIN."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def reset_socket(connection: socket.socket) -> None:
    """As `reset`, before there is a transport."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    connection.close()
