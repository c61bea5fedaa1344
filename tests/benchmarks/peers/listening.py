"""What the peers of the streams' benchmark do alike: a stream for each watch, parse its frames, publish them.

A small program, set as one would who knows these libraries: no limit on connections, an idempotent producer that
collects for 5 ms, orjson. It makes no looks, does not reconnect, and checks nothing.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

ASSIGNED = "partitions assigned"
"""The connector's log has these words, too: Kafka is there, and no watch yet."""
CONNECTS_AT_ONCE = 64
PREFIX = "BENCH_"

Listen = Callable[[str, asyncio.Semaphore], AsyncIterator[str]]
"""The data of a stream's frames, by its URL. The semaphore is held until the stream is open."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What the runner tells a peer, in the environment."""

    servers: str
    watches: str
    upstream: str
    url: str

    @classmethod
    def read(cls) -> "Errand":
        return cls(*(os.environ[PREFIX + name] for name in ("SERVERS", "WATCHES", "UPSTREAM", "URL")))

    def environment(self) -> dict[str, str]:
        values = {"SERVERS": self.servers, "WATCHES": self.watches, "UPSTREAM": self.upstream, "URL": self.url}
        return {PREFIX + name: value for name, value in values.items()}


async def run(listen: Listen) -> None:
    """Until SIGTERM."""
    errand, stop = Errand.read(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = AIOKafkaConsumer(errand.watches, bootstrap_servers=errand.servers, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(
        bootstrap_servers=errand.servers, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=262_144
    )
    async with consumer, producer:
        print(ASSIGNED, flush=True)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(_read(errand, consumer, producer, listen, tasks))
            await stop.wait()
            reading.cancel()
            os._exit(0)  # ten thousand streams to close one by one are nothing that is measured


async def _read(
    errand: Errand, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, listen: Listen, tasks: asyncio.TaskGroup
) -> None:
    connecting = asyncio.Semaphore(CONNECTS_AT_ONCE)
    async for record in consumer:
        watch = orjson.loads(record.value)
        frames = listen(f"{errand.url}/api/v1/events/file.{watch['file_id']}", connecting)
        tasks.create_task(_publish(watch, record.partition, frames, producer, errand.upstream))


async def _publish(
    watch: dict[str, Any], partition: int, frames: AsyncIterator[str], producer: AIOKafkaProducer, topic: str
) -> None:
    key = watch["file_id"].encode()
    async for data in frames:
        frame = orjson.loads(data)
        observation = {
            "type": frame["type"].removeprefix("render_"), **frame["object"], "generation": watch["generation"],
            "source": "sse", "observed_at": datetime.now(UTC),
        }  # fmt: skip
        await producer.send(topic, orjson.dumps(observation), key=key, partition=partition)
