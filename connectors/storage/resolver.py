"""The system's resolver, with a deadline.

Each question has a thread of its own that the process does not wait for at its end: the event loop's pool would hold
the end up for as long as a name server is silent, and downloads that hash in it.
"""

import asyncio
import socket
import threading
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult


class SystemResolver(AbstractResolver):
    """Raises OSError for names without addresses, TimeoutError after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()

        def tell(found: list[Any] | Exception) -> None:
            if answer.done():
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def ask() -> None:
            found: list[Any] | Exception
            try:
                found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                found = error if isinstance(error, OSError) else OSError(str(error))
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, found)

        threading.Thread(target=ask, daemon=True, name="resolver").start()
        async with asyncio.timeout(self._seconds):
            found = await answer
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, address in found
            if not any(address[3:])  # an IPv6 address with a scope is one of an interface, and no public one
        ]  # fmt: skip

    async def close(self) -> None:
        pass
