"""Today's clients: browser tabs that each listen and poll for themselves. `README.md` lists what is assumed of them.

Reads the jobs from the topic of commands. When the tabs of a job have ended it writes how many have seen the URL.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from benchmarks.peers.listening import ASSIGNED, PREFIX

TABS = 2
CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 60.0
POLL_SECONDS = (1.0, 2.0, 5.0, 10.0)
MOST_ERRORS = 5
_URLS = ("url", "file_url", "result_url")


class Ended(Exception):
    """The job has ended, as this tab sees it."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What the runner tells, in the environment. `speed` divides every time."""

    servers: str
    commands: str
    completions: str
    url: str
    speed: float

    @classmethod
    def read(cls) -> "Errand":
        texts = (os.environ[PREFIX + name] for name in ("SERVERS", "COMMANDS", "COMPLETIONS", "URL"))
        return cls(*texts, speed=float(os.environ[PREFIX + "SPEED"]))

    def environment(self) -> dict[str, str]:
        values = {
            "SERVERS": self.servers, "COMMANDS": self.commands, "COMPLETIONS": self.completions, "URL": self.url,
            "SPEED": str(self.speed),
        }  # fmt: skip
        return {PREFIX + name: value for name, value in values.items()}


@dataclass(slots=True)
class Tab:
    """One tab's view of one job."""

    track: dict[str, Any]
    session: aiohttp.ClientSession
    speed: float
    has_seen_url: bool = False
    _polls: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)
    _silent: int = 0

    async def run(self) -> bool:
        """Until the job has ended, or its time is over; whether the URL was seen."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.track["deadline_seconds"]):
                try:
                    async with asyncio.TaskGroup() as tasks:
                        for channel in self._channels():
                            tasks.create_task(self._listen(channel))
                        if self.track["kind"] == "video":
                            tasks.create_task(self._mind_silence())
                        tasks.create_task(self._poll())
                except* Ended:
                    pass
        return self.has_seen_url

    def _channels(self) -> list[str]:
        own, project = f"file.{self.track['file_id']}", self.track.get("project_id")
        return [own] if project is None else [f"project.{project}", own]

    async def _listen(self, channel: str) -> None:
        """A stream that ends, or cannot be had, is not opened again; once none is left the tab polls."""
        with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
            async with asyncio.timeout(CONNECT_SECONDS / self.speed) as limit:
                async with self.session.get(f"events/{channel}") as response:
                    limit.reschedule(None)
                    response.raise_for_status()
                    async for frame in _frames(response):
                        self._heard.set()
                        self._learn(frame)
        self._silent += 1
        if self._silent == len(self._channels()):
            self._polls.set()

    async def _mind_silence(self) -> None:
        """No event for a while, whatever else comes: poll beside the stream from then on."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS / self.speed):
                    await self._heard.wait()
            except TimeoutError:
                self._polls.set()
                return
            self._heard.clear()

    async def _poll(self) -> None:
        await self._polls.wait()
        steps, errors = iter(POLL_SECONDS), 0
        while errors < MOST_ERRORS:
            await asyncio.sleep(next(steps, POLL_SECONDS[-1]) / self.speed)
            try:
                async with self.session.get(f"file/{self.track['file_id']}") as response:
                    response.raise_for_status()
                    found = orjson.loads(await response.read())
                errors = 0
            except (aiohttp.ClientError, TimeoutError, ConnectionError, orjson.JSONDecodeError):
                errors += 1
                continue
            self._learn({"type": "file", "object": found})
        await asyncio.Event().wait()  # it has given up, and hopes for its streams

    def _learn(self, frame: dict[str, Any]) -> None:
        """Raises Ended when this tells the URL or the failure of the tab's own file."""
        found = frame.get("object")
        if not isinstance(found, dict):
            return
        value = found.get("value") if isinstance(found.get("value"), dict) else found
        names = [value.get("file_id"), value.get("id") if frame["type"] in ("file", "render_result") else None]
        if self.track["file_id"] not in names:
            return
        if any(value.get(name) for name in _URLS):
            self.has_seen_url = True
            raise Ended
        tasks = value.get("tasks") or [value if frame["type"] == "task" else {}]
        if tasks[-1].get("status") == "error":
            raise Ended


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in response.content:
        if line.startswith(b"data:"):
            with suppress(orjson.JSONDecodeError):
                frame = orjson.loads(line[5:].strip().removeprefix(b"\xef\xbb\xbf"))
                if isinstance(frame, dict) and "type" in frame:
                    yield frame


async def main() -> None:
    errand = Errand.read()
    consumer = AIOKafkaConsumer(errand.commands, bootstrap_servers=errand.servers, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=errand.servers)
    session = aiohttp.ClientSession(
        errand.url + "/api/v1/", headers={"authorization": "Bearer simulator-token"},
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
    )  # fmt: skip
    async with consumer, producer, session, asyncio.TaskGroup() as tasks:
        print(ASSIGNED, flush=True)
        async for record in consumer:
            track = orjson.loads(record.value)
            tabs = [Tab(track, session, errand.speed) for _ in range(TABS)]
            tasks.create_task(_job(record.key, tabs, producer, errand.completions))


async def _job(key: bytes, tabs: Iterable[Tab], producer: AIOKafkaProducer, topic: str) -> None:
    seen = await asyncio.gather(*(tab.run() for tab in tabs))
    await producer.send(topic, orjson.dumps({"seen": sum(seen), "of": len(seen)}), key=key)


if __name__ == "__main__":
    asyncio.run(main())
