"""The upstream of the connector's benchmarks: many thousand streams for little CPU, and no faults.

Speaks as much HTTP/1.1 as its clients need: event streams with a ping every 15 s, files that are never done, and
`/__status`, `/__say`, `/__forget` for the runner. Prints `listening` and its address.
"""

import asyncio
import re
import signal
import time
from collections import deque
from urllib.parse import parse_qsl, urlsplit

import orjson

LISTENING = "listening"
PING_SECONDS, PING_TICK = 15, 0.05
RESULT_EVERY = 10
"""One event in so many is a result, the others are progress."""

LATE_SECONDS = 0.0005
_PATH = re.compile(rb"GET (\S+) HTTP/1\.1\r\n")
_STREAM = b"/api/v1/events/file."
_FILE = b"/api/v1/file/"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_OPENED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_BODY = b"""{"id":"%b","url":null,"thumbnail_url":null,"type":"video","tasks":[{"type":"video-generation-flow",\
"status":"in_progress","id":"64fd2a70-7c0c-4a2e-8a4c-1d2f60c0a001","file_id":"%b","project_id":null}]}"""
_PROGRESS = b'data: {"type":"render_progress","object":{"progress":%d,"file_id":"%b","message":"at=%d,no=%d"}}\r\n\r\n'
_RESULT = (
    b'data: {"type":"render_result","object":'
    b'{"file_id":"%b","url":"https://media.example.com/%b.mp4?at=%d&no=%d"}}\r\n\r\n'
)


class Source:
    """What is open, what was asked, what was said."""

    def __init__(self) -> None:
        self.streams = self.opened = self.gets = self.said = self.cycle = 0
        self.late = 0.0
        self._pinged: deque[Connection] = deque()
        self._spoken: deque[Connection] = deque()
        self._speech: asyncio.Task[None] | None = None

    def open(self, stream: "Connection") -> None:
        self.streams += 1
        self.opened += 1
        self._pinged.append(stream)
        self._spoken.append(stream)

    def status(self) -> dict[str, float]:
        return {
            "streams": self.streams, "opened": self.opened, "gets": self.gets, "said": self.said,
            "late": self.late, "cpu": time.process_time(),
        }  # fmt: skip

    def forget(self) -> None:
        """Count anew what is opened and asked."""
        self.opened = self.gets = 0

    def begin(self, rate: float, events: int) -> None:
        self.said = 0
        self._speech = asyncio.create_task(self._say(rate, events))

    async def _say(self, rate: float, events: int) -> None:
        """Events at a rate, each on the next stream. An event's time is taken right before it is written."""
        begun = time.perf_counter()
        while self.said < events:
            due = int((time.perf_counter() - begun) * rate) + 1
            self.late = max(self.late, (due - self.said - 1) / rate)
            for _ in range(min(due, events) - self.said):
                self._next(self._spoken).say(self.said)
                self.said += 1
            await asyncio.sleep(max(LATE_SECONDS, begun + self.said / rate - time.perf_counter()))

    async def ping(self) -> None:
        """Evenly over all streams, so that each second costs their readers the same."""
        owed = 0.0
        while True:
            await asyncio.sleep(PING_TICK)
            owed += self.streams * PING_TICK / PING_SECONDS
            while owed >= 1 and self.streams:
                self._next(self._pinged).chunk(b": ping - 2026-01-01 00:00:00.000000+00:00\r\n\r\n")
                owed -= 1

    def _next(self, streams: "deque[Connection]") -> "Connection":
        """The next open one; it goes to the end of the line."""
        while (found := streams.popleft()).is_closed:
            pass
        streams.append(found)
        return found


class Connection(asyncio.Protocol):
    __slots__ = ("_file_id", "_heard", "_said", "_source", "_transport", "is_closed")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._heard = b""
        self._file_id = b""
        self._said = 0
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._file_id:
            self._source.streams -= 1

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            head, _, self._heard = self._heard.partition(b"\r\n\r\n")
            found = _PATH.match(head + b"\r\n")
            self._transport.write(self._answer(found[1]) if found else _NOT_FOUND)

    def _answer(self, path: bytes) -> bytes:
        source = self._source
        if path.startswith(_STREAM):
            self._file_id = path.removeprefix(_STREAM)
            source.open(self)
            return _OPENED
        if path.startswith(_FILE):
            source.gets += 1
            file_id = path.removeprefix(_FILE)
            return _json(_BODY % (file_id, file_id))
        asked = urlsplit(path.decode())
        if asked.path == "/__say":
            wanted = dict(parse_qsl(asked.query))
            source.begin(float(wanted["rate"]), int(wanted["events"]))
        elif asked.path == "/__forget":
            source.forget()
        elif asked.path != "/__status":
            return _NOT_FOUND
        return _json(orjson.dumps(source.status()))

    def say(self, number: int) -> None:
        self._said += 1
        file_id = self._file_id
        if number % RESULT_EVERY == RESULT_EVERY - 1:
            self.chunk(_RESULT % (file_id, file_id, time.time_ns(), number))
        else:
            self.chunk(_PROGRESS % (min(self._said, 99), file_id, time.time_ns(), number))

    def chunk(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))


def _json(body: bytes) -> bytes:
    return _ANSWER % (len(body), body)


async def main() -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    source = Source()
    server = await loop.create_server(lambda: Connection(source), "127.0.0.1", 0, backlog=4_096)
    print(f"{LISTENING} http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    pinging = asyncio.create_task(source.ping())
    await stop.wait()
    pinging.cancel()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
