"""uvicorn, run by us: our socket, no signal handlers, and an end that does not wait for ever."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from connectors.gateway.settings import GatewaySettings
from schemas.errors import StopProcess

BACKLOG = 2048
_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n"
_HEAD_BYTES = 16_384
"""The longest head of a request; what h11 takes by itself."""
HEAD_SECONDS = 30.0
"""How long a connection may be open without a request that is being answered."""
ACCEPTED_AT_ONCE = 16
"""Connections taken in one turn of the event loop. asyncio takes as many as the backlog holds: when all readers of a
gateway that has restarted come back, neither Kafka nor a probe would have a turn for seconds."""


class _Connection(h11.Connection):
    """h11's, with a short way for one chunk after the other of an answer: h11 takes twice as long for each."""

    _is_chunked = False

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        if self._is_chunked and type(event) is h11.Data and self.our_state is h11.SEND_BODY:
            # An empty chunk would end the answer.
            return [b"%x\r\n%b\r\n" % (len(event.data), event.data)] if event.data else []
        sent = super().send_with_data_passthrough(event)
        if type(event) is h11.Response:
            self._is_chunked = _CHUNKED in b"".join(sent or ()).lower()
        return sent


class _Protocol(H11Protocol):
    """uvicorn's, which waits for ever for a head that has begun, or for the rest of a body after its answer."""

    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, config: uvicorn.Config, *args: Any, **more: Any) -> None:
        super().__init__(config, *args, **more)
        self.conn = _Connection(h11.SERVER, _HEAD_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        """Set once when nothing is being answered: what trickles in does not move it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the business of whoever started the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)  # the kernel's; asyncio has set it to what it takes at once


class HttpServer:
    """Listens from `open` on; `run` serves until `stop` is set."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=ACCEPTED_AT_ONCE,
                timeout_graceful_shutdown=int(settings.close_timeout_seconds) or 1,
            )
        )

    @property
    def port(self) -> int:
        assert self._socket is not None, "not open"
        return int(self._socket.getsockname()[1])

    def open(self) -> None:
        """Raises StopProcess when the address cannot be had."""
        host, port = self._settings.host, self._settings.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            both = host == "::" and socket.has_dualstack_ipv6()
            opened = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
        except OSError as error:
            raise StopProcess(
                f"cannot listen on {host}:{port} (RENDERCAST_GATEWAY__HOST, RENDERCAST_GATEWAY__PORT): {error}",
                host=host, port=port,
            ) from error  # fmt: skip
        # asyncio leaves it out for sockets whose protocol is 0, as this one's: each answer of two writes would wait for
        # the client's acknowledgement, which takes 40 ms. Accepted sockets have what this one has.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A reader that takes nothing, or has lost its network, would else hold its socket for ever.
            limit = int(self._settings.send_timeout_seconds * 1000)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        self._socket = opened

    async def run(self, stop: asyncio.Event, on_stop: Callable[[], None]) -> None:
        """`on_stop` is called when no new connection is taken any longer, to end what would not end by itself."""
        assert self._socket is not None, "open first"
        serving = asyncio.create_task(self._server.serve([self._socket]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self._server.should_exit = True
            on_stop()
            await serving

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
