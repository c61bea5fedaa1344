"""What the rivals of the gateway do alike: read the topic of jobs, and give each reader of a channel a queue.

A small program, set as one would who knows these libraries: a frame is made once for all its readers, a snapshot is the
last document of each job of the channel. It checks no token, holds no changes, bounds nothing and coalesces nothing.
uvicorn is set as the gateway sets it.
"""

import asyncio
import gc
import os
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import orjson
import uvicorn
from aiokafka import AIOKafkaConsumer, TopicPartition
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

LISTENING = "jobs are up to date"
"""The gateway's log has these words, too."""
BACKLOG = 2_048
PREFIX = "BENCH_"
HEADERS = {"Cache-Control": "no-transform, no-cache", "X-Accel-Buffering": "no"}

Queue = asyncio.Queue[bytes]


def environment(servers: str, topic: str, port: int, ping_seconds: int) -> dict[str, str]:
    """What the runner tells a rival."""
    told = {"SERVERS": servers, "TOPIC": topic, "PORT": str(port), "PING_SECONDS": str(ping_seconds)}
    return {PREFIX + name: value for name, value in told.items()}


def ping_seconds() -> int:
    return int(os.environ[f"{PREFIX}PING_SECONDS"])


class Hub:
    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, bytes]] = defaultdict(dict)
        self._queues: dict[str, set[Queue]] = defaultdict(set)

    def read(self, partition: int, offset: int, value: bytes) -> None:
        job = orjson.loads(value)
        frame = b"id: %d:%d\nevent: job\ndata: %s\n\n" % (partition, offset, value)
        for channel in (f"file.{job['file_id']}", f"project.{job.get('project_id')}"):
            self._jobs[channel][job["file_id"]] = value
            for queue in self._queues.get(channel, ()):
                queue.put_nowait(frame)

    async def frames(self, channel: str, ping: bytes | None) -> AsyncIterator[bytes]:
        """A snapshot, then each change. Without `ping` somebody else sends one."""
        queue, seconds = Queue(), ping_seconds()
        self._queues[channel].add(queue)
        try:
            jobs = b",".join(self._jobs[channel].values())
            yield b'retry: 2000\n\nevent: snapshot\ndata: {"channels":["%s"],"jobs":[%s]}\n\n' % (
                channel.encode(),
                jobs,
            )
            while True:
                yield await queue.get() if ping is None else await _next(queue, ping, seconds)
        finally:
            self._queues[channel].discard(queue)


async def _next(queue: Queue, ping: bytes, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await queue.get()
    except TimeoutError:
        return ping


def run(answer: Callable[[Hub, str], Response]) -> None:
    """Until SIGTERM; `answer` is what a request for a channel gets."""
    gc.set_threshold(50_000, 5, 5)  # as the gateway's process sets it
    asyncio.run(_run(answer))


async def _run(answer: Callable[[Hub, str], Response]) -> None:
    hub = Hub()

    async def events(request: Request) -> Response:
        return answer(hub, request.path_params["channel"])

    config = uvicorn.Config(
        Starlette(routes=[Route("/api/events/{channel:path}", events)]),
        lifespan="off", ws="none", log_config=None, access_log=False, proxy_headers=False, server_header=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    listening = socket.create_server(("127.0.0.1", int(os.environ[f"{PREFIX}PORT"])), backlog=BACKLOG)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ[f"{PREFIX}SERVERS"], isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_wait_ms=100,
    )  # fmt: skip
    async with consumer, asyncio.TaskGroup() as tasks:
        tasks.create_task(_read(consumer, os.environ[f"{PREFIX}TOPIC"], hub))
        await uvicorn.Server(config).serve([listening])
        os._exit(0)  # the streams' end is nothing that is measured


async def _read(consumer: AIOKafkaConsumer, topic: str, hub: Hub) -> None:
    await consumer.end_offsets([TopicPartition(topic, 0)])
    partitions = [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    loaded = False
    while True:
        if not loaded and all([await consumer.position(each) >= end for each, end in ends.items()]):
            loaded = True
            print(LISTENING, flush=True)
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                hub.read(record.partition, record.offset, record.value)
