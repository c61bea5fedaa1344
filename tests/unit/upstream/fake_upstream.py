"""An upstream of a few lines, over real sockets: files that tests set, streams that tests speak into."""

import asyncio
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import orjson
from aiohttp import web

from schemas import Observation
from schemas.dead_letters import DeadLetter

T = TypeVar("T")
TOKEN = "secret-token"


async def until(condition: Callable[[], T], seconds: float = 5) -> T:
    """The condition's first true value."""
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {seconds} s; last: {found!r}"
        await asyncio.sleep(0.005)
    return found


@dataclass
class Line:
    """One open stream, the server's end."""

    response: web.StreamResponse
    request: web.Request
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, kind: str, body: object = None, **more: object) -> None:
        await self.write(b"data: " + orjson.dumps({"type": kind, "object": body, **more}) + b"\n\n")

    async def write(self, raw: bytes) -> None:
        await self.response.write(raw)

    def end(self) -> None:
        self.over.set()

    def reset(self) -> None:
        transport = self.request.transport
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class FakeUpstream:
    """`answers` says what a GET of a file gets; `refuse_streams` is what those get who want to listen."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.gets: list[tuple[str, float]] = []
        self.posts: list[Any] = []
        self.connects: list[float] = []
        self.lines: dict[str, list[Line]] = defaultdict(list)
        self.refuse_streams: Callable[..., Any] | None = None
        self.refuse_channels: set[str] = set()
        self.hold: Awaitable[object] | None = None
        self.generated: object = []
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/v1/file/{id}", self._file)
        app.router.add_get("/api/v1/project/{id}", self._file)
        app.router.add_get("/api/v1/events/{channel}", self._events)
        app.router.add_post("/api/v1/file/{name}", self._generate)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def looks(self, file_id: str) -> int:
        return sum(name == file_id for name, _ in self.gets)

    async def line(self, channel: str, number: int = 1) -> Line:
        """The channel's stream, once it has been opened so many times."""
        return (await until(lambda: self.lines[channel][number - 1 :]))[0]

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["id"]
        self.gets.append((file_id, time.monotonic()))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if self.hold is not None:
            await self.hold
        answer = self.answers.get(file_id, {"id": file_id, "url": None, "tasks": []})
        if asyncio.iscoroutinefunction(answer):
            return await answer(request)
        if callable(answer):
            answer = answer()
        return answer if isinstance(answer, web.Response) else web.json_response(answer, dumps=_dumps)

    async def _generate(self, request: web.Request) -> web.Response:
        self.posts.append((request.match_info["name"], await request.json()))
        found = self.generated
        return found if isinstance(found, web.Response) else web.json_response(found, dumps=_dumps)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.connects.append(time.monotonic())
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if request.match_info["channel"] in self.refuse_channels:
            return web.Response(status=502)
        if self.refuse_streams is not None:
            if asyncio.iscoroutinefunction(self.refuse_streams):
                return await self.refuse_streams(request)
            return self.refuse_streams()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        line = Line(response, request)
        self.lines[request.match_info["channel"]].append(line)
        try:
            await line.over.wait()
        finally:
            line.hung_up.set()
        return response


class Letters:
    """In place of the outbox: keeps what it is given."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.dead: list[DeadLetter] = []
        self.full = False
        self.is_read_no_more = False

    def put(self, observation: Observation, partition: int | None = None) -> None:
        self.observations.append(observation)

    def bury(self, letter: DeadLetter) -> None:
        self.dead.append(letter)

    @property
    def is_full(self) -> bool:
        return self.full

    async def room(self) -> None:
        self.is_read_no_more = self.full
        while self.full:  # noqa: ASYNC110 - a test sets it as it likes
            await asyncio.sleep(0.005)

    def of(self, kind: type[T]) -> list[T]:
        return [each for each in self.observations if isinstance(each, kind)]


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()
