"""Thousands of readers of event streams in one process, for little CPU: bare asyncio, each a browser's `EventSource` as
far as it matters here. One that loses its stream waits as long as it was told (`retry:`) and comes back with
`Last-Event-ID`.

Each remembers the version of every job it was told of, so that what comes twice, or not at all, is seen. Speaks
`/__status`, `/__delays` and `/__forget` to the runner. Prints `listening` and its address.
"""

import asyncio
import functools
import signal
import sys
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jwt
import orjson

LISTENING = "listening"
CONNECTS_AT_ONCE = 100
CONNECT_SECONDS = 20
TOKEN_SECONDS = 3_600
RETRY_SECONDS = 3.0
"""A browser's own, until it is told another."""

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the runner tells, in a file. `readers`: the channel of each, and the files that are told of there."""

    port: int
    secret: str
    readers: list[tuple[str, list[str]]]
    final: int
    gzip: bool = False


@dataclass(slots=True)
class Counts:
    """`twice`: versions that a reader had already; `skipped`: those that it was never told; `whole`: readers that have
    the final version of each of their files, the last of them at `whole_at` (`time.monotonic`).
    """

    streams: int = 0
    opened: int = 0
    lost: int = 0
    refused: int = 0
    snapshots: int = 0
    told: int = 0
    gaps: int = 0
    twice: int = 0
    skipped: int = 0
    whole: int = 0
    whole_at: float = 0
    others: dict[str, int] = field(default_factory=dict)


class Crew:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.counts = Counts()
        self.delays: list[float] = []
        self.connecting = asyncio.Semaphore(CONNECTS_AT_ONCE)
        self._readers = [Reader(self, number, *each) for number, each in enumerate(plan.readers)]
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        for each in self._readers:
            self.start(each)

    def start(self, reader: "Reader") -> None:
        task = asyncio.create_task(reader.connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self) -> None:
        """Count anew; what is open and what is whole stays so."""
        kept = self.counts
        self.counts = Counts(streams=kept.streams, whole=kept.whole, whole_at=kept.whole_at)
        self.delays = []


class Reader(asyncio.Protocol):
    __slots__ = (
        "_body", "_crew", "_files", "_inflate", "_is_open", "_last_id", "_raw", "_request", "_retry", "_transport",
        "_unfinished",
    )  # fmt: skip

    def __init__(self, crew: Crew, number: int, channel: str, files: list[str]) -> None:
        self._crew = crew
        self._files: dict[str, int] = dict.fromkeys(files, 0)
        self._unfinished = len(files)
        self._retry, self._last_id, self._is_open = RETRY_SECONDS, b"", False
        encoding = b"gzip, deflate" if crew.plan.gzip else b"identity"
        self._request = b"GET /api/events/%b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n" % (
            channel.encode(), crew.plan.port,
        ) + b"User-Agent: reader\r\nAccept-Encoding: %b\r\nAuthorization: Bearer %b\r\n" % (
            encoding, _token(number, channel, crew.plan.secret),
        )  # fmt: skip

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with self._crew.connecting, asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: self, "127.0.0.1", self._crew.plan.port)
        except OSError:  # and TimeoutError, which is one
            self._crew.counts.refused += 1
            self._come_back()

    def _come_back(self) -> None:
        asyncio.get_running_loop().call_later(self._retry, functools.partial(self._crew.start, self))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._raw, self._body, self._is_open = b"", b"", False
        self._inflate = zlib.decompressobj(31) if self._crew.plan.gzip else None
        last = b"Last-Event-ID: %b\r\n" % self._last_id if self._last_id else b""
        transport.write(self._request + last + b"\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        counts = self._crew.counts
        if self._is_open:
            counts.streams -= 1
            counts.lost += 1
        else:
            counts.refused += 1
        self._come_back()

    def data_received(self, data: bytes) -> None:
        came = time.time_ns()
        self._raw += data
        if not self._is_open:
            head, end, rest = self._raw.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self._transport.abort()
                return
            self._raw, self._is_open = rest, True
            self._crew.counts.streams += 1
            self._crew.counts.opened += 1
        self._unchunk()
        while (end := self._body.find(b"\n\n")) >= 0:
            block, self._body = self._body[:end], self._body[end + 2 :]
            self._hear(block, came)

    def _unchunk(self) -> None:
        while (end := self._raw.find(b"\r\n")) > 0:
            begin, after = end + 2, end + 2 + int(self._raw[:end], 16)
            if len(self._raw) < after + 2:
                return
            part, self._raw = self._raw[begin:after], self._raw[after + 2 :]
            self._body += part if self._inflate is None else self._inflate.decompress(part)

    def _hear(self, block: bytes, came: int) -> None:
        said = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
        self._last_id = said.get(b"id", self._last_id)
        if b"retry" in said:
            self._retry = int(said[b"retry"]) / 1000
        event, data = said.get(b"event", b""), said.get(b"data", b"")
        counts = self._crew.counts
        if event == b"job":
            counts.told += 1
            self._saw(orjson.loads(data), came)
        elif event == b"snapshot":
            counts.snapshots += 1
            for job in orjson.loads(data)["jobs"]:
                self._saw(job, None)
        elif event == b"gap":
            counts.gaps += 1
        elif event:
            counts.others[event.decode()] = counts.others.get(event.decode(), 0) + 1

    def _saw(self, job: dict[str, Any], came: int | None) -> None:
        crew, version, file_id = self._crew, job["version"], job["file_id"]
        before = self._files[file_id]
        if came is not None and (said := job.get("message", "")).startswith("at="):
            crew.delays.append((came - int(said[3:])) / 1e6)
        if version <= before:
            crew.counts.twice += 1
            return
        crew.counts.skipped += version - before - 1
        self._files[file_id] = version
        if version >= crew.plan.final:
            self._unfinished -= 1
            if not self._unfinished:
                crew.counts.whole += 1
                crew.counts.whole_at = time.monotonic()


def _token(number: int, channel: str, secret: str) -> bytes:
    claims = {"sub": f"reader-{number}", "exp": int(time.time()) + TOKEN_SECONDS, "rendercast": {"read": [channel]}}
    return jwt.encode(claims, secret, "HS256").encode()


async def _serve(crew: Crew, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readuntil(b"\r\n")).split()[1]
    if path == b"/__forget":
        crew.forget()
    answer = orjson.dumps(crew.delays if path == b"/__delays" else asdict(crew.counts))
    writer.write(_ANSWER % (len(answer), answer))
    await writer.drain()
    writer.close()


async def main(plan: Plan) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    crew = Crew(plan)
    server = await asyncio.start_server(functools.partial(_serve, crew), "127.0.0.1", 0)
    print(f"{LISTENING} http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    crew.begin()
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(Plan(**orjson.loads(Path(sys.argv[1]).read_bytes()))))
