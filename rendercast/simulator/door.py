"""Taking connections: some are reset at once, some within the TLS handshake, the others are served."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import structlog

from rendercast.simulator.chance import Dice
from rendercast.simulator.wire import reset_socket

REST_SECONDS = 1
HANDSHAKE_SECONDS = 30
_PASSING = frozenset({errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
log = structlog.get_logger()


class Door:
    """One address. Without dice no connection is reset."""

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None = None,
        dice: Dice | None = None,
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._serve = serve
        self._tls = tls
        self._dice = dice
        self._taken = 0

    async def run(self) -> None:
        """Take connections until it is cancelled."""
        loop = asyncio.get_running_loop()
        with self._listener:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    try:
                        connection, _ = await loop.sock_accept(self._listener)
                    except OSError as error:
                        if error.errno not in _PASSING:
                            raise
                        log.warning("a connection could not be taken", error=str(error))
                        await asyncio.sleep(REST_SECONDS)
                        continue
                    self._taken += 1
                    tasks.create_task(self._admit(connection, self._taken))
                    await asyncio.sleep(0)  # accepting does not wait while connections are there

    async def _admit(self, connection: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        if self._falls("connect_reset", number):
            reset_socket(connection)
        elif self._tls is not None and self._falls("tls_reset", number):
            try:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(HANDSHAKE_SECONDS):
                        await loop.sock_recv(connection, 1)  # the client has begun
            finally:
                reset_socket(connection)
        else:
            with suppress(OSError):  # the client has gone, or takes no certificate of ours
                await loop.connect_accepted_socket(self._serve, connection, ssl=self._tls)

    def _falls(self, fault: str, number: int) -> bool:
        return self._dice is not None and self._dice.falls(fault, number)
