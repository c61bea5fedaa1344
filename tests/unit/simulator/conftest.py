import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import SimulatorSettings

TOKEN = "simulator-token"
PATIENCE = 30


class Listener:
    """One stream of the simulator, read as bytes."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.raw = b""
        self._pieces = response.aiter_raw()

    async def until(self, part: bytes, times: int = 1) -> bytes:
        """Everything up to the piece that brings `part` for the last of so many times."""
        async with asyncio.timeout(PATIENCE):
            while self.raw.count(part) < times:
                self.raw += await anext(self._pieces)
        return self.raw

    async def end(self) -> bytes:
        """Everything up to the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            async for piece in self._pieces:
                self.raw += piece
        return self.raw

    async def piece(self) -> bytes:
        """What comes next."""
        async with asyncio.timeout(PATIENCE):
            return await anext(self._pieces)

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(each[6:]) for each in self.raw.split(b"\r\n\r\n") if each.startswith(b"data: {")]


class Raw:
    """One request on a connection of its own, read as it comes over TCP."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.raw = b""

    async def until(self, part: bytes, times: int = 1) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while self.raw.count(part) < times:
                piece = await self._reader.read(65_536)
                assert piece, self.raw
                self.raw += piece
        return self.raw

    async def end(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            self.raw += await self._reader.read()
        return self.raw

    async def until_chunks(self, number: int) -> list[bytes]:
        while len(self.chunks) < number:
            await self.until(b"\r\n", self.raw.count(b"\r\n") + 1)
        return self.chunks

    @property
    def chunks(self) -> list[bytes]:
        """The whole chunks of the body so far: one for each write of the simulator."""
        found, rest = [], self.raw.partition(b"\r\n\r\n")[2]
        while rest:
            size, separator, rest = rest.partition(b"\r\n")
            length = int(size, 16) if separator else 0
            if not length or len(rest) < length + 2:
                break
            found.append(rest[:length])
            rest = rest[length + 2 :]
        return found


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds, as soon as that is something."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.01)


class Upstream:
    """A running simulator and a client of it."""

    eventually = staticmethod(eventually)

    def __init__(self, simulator: Simulator, http: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.http = http

    async def script(self, **wanted: Any) -> dict[str, Any]:
        answer = await self.http.post("/__script", json=wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, file_id: str) -> httpx.Response:
        return await self.http.get(f"/api/v1/file/{file_id}")

    async def file(self, file_id: str, when: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The file object, as soon as `when` is true of it."""

        async def look() -> dict[str, Any] | None:
            found = (await self.get(file_id)).json()
            return found if when(found) else None

        return await eventually(look)

    async def open_streams(self) -> int:
        return (await self.record())["open_streams"]

    async def record(self) -> dict[str, Any]:
        return (await self.http.get("/__record")).json()

    async def rates(self, **rates: float) -> None:
        assert (await self.http.post("/__faults", json=rates)).status_code == 200

    async def break_(self, what: str, **more: Any) -> dict[str, Any]:
        answer = await self.http.post("/__break", json={"what": what, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def heal(self, **which: Any) -> int:
        return (await self.http.post("/__heal", json=which)).json()["healed"]

    @contextlib.asynccontextmanager
    async def raw(self, path: str) -> AsyncIterator[Raw]:
        host, _, port = self.simulator.url.partition("://")[2].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            lines = f"GET {path} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {TOKEN}", "", ""
            writer.write("\r\n".join(lines).encode())
            yield Raw(reader)
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Listener]:
        async with self.http.stream("GET", f"/api/v1/events/{channel}") as response:
            yield Listener(response)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[Upstream]]]:
    """Starts a simulator with the settings named."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(**settings: Any) -> Upstream:
            simulator = await stack.enter_async_context(Simulator(SimulatorSettings(**settings)))
            http = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=simulator.url,
                    headers={"Authorization": f"Bearer {TOKEN}"},
                    timeout=PATIENCE,
                    trust_env=False,
                )
            )
            return Upstream(simulator, http)

        yield begin


@pytest.fixture
async def upstream(start: Callable[..., Awaitable[Upstream]]) -> Upstream:
    """A simulator without faults."""
    return await start()
