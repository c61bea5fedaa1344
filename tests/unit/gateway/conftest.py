import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from connectors.gateway.access import Access
from connectors.gateway.board import Board
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from connectors.gateway.settings import GatewaySettings
from schemas import Job
from schemas.codec import encode
from schemas.errors import RendercastError

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
DEADLINE_SECONDS = 10


def make_file_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def make_job(number: int = 1, **fields) -> Job:
    """An unfinished job; with an outcome, one that has just ended."""
    known = {
        "file_id": make_file_id(number), "generation": "g1", "version": 1, "kind": "video", "status": "processing",
        "deadline_at": NOW + timedelta(minutes=15), "tracked_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    if fields.get("outcome"):
        known |= {"status": "completed" if fields["outcome"] == "completed" else "error", "finished_at": NOW}
    return Job(**(known | fields))


class CommandList:
    """Commands in memory; with `trouble` set, none gets through."""

    def __init__(self) -> None:
        self.sent = []
        self.trouble: RendercastError | None = None

    async def send(self, command, partition=None) -> None:
        if self.trouble:
            raise self.trouble
        self.sent.append(command)


class Events:
    """An open event stream, read with a deadline."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._events = EventSource(response).aiter_sse()

    async def next(self) -> ServerSentEvent:
        """The next event with data: the client library makes an empty one of every comment."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                event = await anext(self._events)
                if event.data:
                    return event

    async def take(self, count: int) -> list[ServerSentEvent]:
        return [await self.next() for _ in range(count)]

    async def rest(self) -> list[ServerSentEvent]:
        """What still comes until the stream ends."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return [event async for event in self._events if event.data]


class Stand:
    """The gateway's HTTP side on a real socket; the topic of jobs is played by `tell`."""

    def __init__(self, **settings) -> None:
        self.settings = GatewaySettings(**{"port": 0, "auth": "off", "close_timeout_seconds": 2, **settings})
        self.board = Board(self.settings, lambda: NOW)
        self.commands = CommandList()
        self.not_ready: str | None = None
        self.access = Access(self.settings)
        routes = Routes(self.settings, self.board, self.commands, self.access, lambda: self.not_ready)
        self.server = HttpServer(routes.application(), self.settings)
        self.stop = asyncio.Event()
        self._offsets: dict[int, int] = {}
        self._closing = contextlib.AsyncExitStack()

    async def start(self) -> None:
        self.server.open()
        self.running = asyncio.create_task(self.server.run(self.stop, self.board.close))
        self.http = await self._closing.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.server.port}", timeout=DEADLINE_SECONDS)
        )

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self.running
        await self._closing.aclose()
        self.server.close()

    def tell(self, job: Job | None = None, *, partition: int = 0, forget: str | None = None) -> str:
        """One record of the topic; returns its place."""
        offset = self._offsets.get(partition, 0)
        self._offsets[partition] = offset + 1
        key = job.file_id if job else forget
        self.board.read(partition, offset, key.encode(), encode(job) if job else None)
        return f"{partition}:{offset}"

    @contextlib.asynccontextmanager
    async def events(self, path: str, **headers) -> AsyncIterator[Events]:
        async with self.http.stream("GET", f"/api/events{path}", headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            yield Events(response)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.01)


@pytest.fixture
def file_id():
    return make_file_id


@pytest.fixture
def job():
    return make_job


@pytest.fixture
def now():
    return NOW


@pytest.fixture
async def make_stand():
    """`await make_stand(setting=value, …)`: a running stand; it ends with the test."""
    stands = []

    async def make(*, loaded: bool = True, **settings) -> Stand:
        stand = Stand(**settings)
        await stand.start()
        stands.append(stand)
        if loaded:
            stand.board.has_loaded()
        return stand

    yield make
    for stand in stands:
        await stand.end()


@pytest.fixture
async def stand(make_stand):
    return await make_stand()
