"""Room for so many copies at once, and for so many from one host: a slow host leaves room for the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Slots:
    """`of(url)` waits for the host's turn first, and only then takes room from everybody."""

    def __init__(self, total: int, per_host: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._per_host = per_host
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # those in use

    @asynccontextmanager
    async def of(self, url: str) -> AsyncIterator[None]:
        turns = self._hosts.setdefault(_host(url), asyncio.Semaphore(self._per_host))
        async with turns, self._all:
            yield


def _host(url: str) -> str:
    """The same for every spelling of a host."""
    scheme, _, rest = url.lower().partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2]
    return authority.removesuffix(":443" if scheme == "https" else ":80").rstrip(".")
