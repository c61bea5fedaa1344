"""What integration tests share: processes of ours, readers of topics, and waiting for a condition."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn, TypeVar

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from brokers import arguments
from rendercast.broker.local import can_run
from rendercast.settings import kafka_variables
from schemas.codec import encode
from schemas.headers import headers
from schemas.settings import KafkaSettings, TopicSettings

T = TypeVar("T")


def missing(words: str) -> NoReturn:
    """What a test needs is not on this machine: in CI that is a failure; elsewhere the test is skipped, and says so."""
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def require_java() -> None:
    """For a broker of a test's own, which it may kill or lock."""
    if not can_run():
        missing("a broker of the test's own needs Java 17 and Maven")


def eventually(condition: Callable[[], T], seconds: float = 30, what: str = "") -> T:
    """The condition's first true value. It is asked until then, or until the deadline."""
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {seconds} s: {what or condition}; last: {found!r}")
        time.sleep(0.05)
    return found


class Process:
    """A `rendercast` command as a process of its own, with its log in a file."""

    def __init__(self, command: str, directory: Path, kafka: KafkaSettings, topics: TopicSettings, **settings: object):
        self.command = command
        self._log = directory / f"{command.replace(' ', '-')}-{id(self)}.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RENDERCAST_")},
            **kafka_variables(kafka),
            "RENDERCAST_TOPICS__PREFIX": topics.prefix,
            "RENDERCAST_TOPICS__PARTITIONS": str(topics.partitions),
            "RENDERCAST_MONITORING__PORT": "0",
            **{f"RENDERCAST_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.start()

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("rendercast")), *self.command.split()],
                env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; 0 where there is none (yet, or any more)."""
        text = self.get("/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))

    def get(self, path: str) -> str:
        port = re.search(r'"monitoring_port": (\d+)', self.log)
        try:
            return httpx.get(f"http://127.0.0.1:{port[1]}{path}", timeout=5).text if port else ""
        except httpx.TransportError:
            return ""

    @property
    def memory(self) -> int:
        """Resident memory in KiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def wait_ready(self, seconds: float = 30) -> None:
        def ready() -> bool:
            assert self.status is None, self.log
            return '"ready"' in self.get("/readyz")

        eventually(ready, seconds, f"{self.command} ready: {self.log[-2000:]}")

    def signal(self, number: signal.Signals) -> None:
        if self.status is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self, seconds: float = 12) -> int:
        """An orderly end; the exit status. A process that does not end in time is killed, and the test fails."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command} did not end within {seconds} s: {self.log[-3000:]}") from None


def send(kafka: KafkaSettings, topic: str, records: Iterable) -> None:
    """Write records of ours; returns when the broker has them."""

    async def run() -> None:
        producer = AIOKafkaProducer(**arguments(kafka), linger_ms=5)
        await producer.start()
        try:
            for record in records:
                await producer.send(topic, encode(record), key=record.file_id.encode(), headers=headers(record))
        finally:
            await producer.stop()

    asyncio.run(run())


def read(kafka: KafkaSettings, topic: str) -> list[ConsumerRecord]:
    """Every committed record of a topic, partition by partition."""

    async def run() -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(
            topic,
            **arguments(kafka),
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        try:
            tps = list(consumer.assignment())
            ends = await consumer.end_offsets(tps)
            await consumer.seek_to_beginning(*tps)
            found, quiet = [], 0
            while quiet < 10 and any([await consumer.position(tp) < ends[tp] for tp in tps]):
                batches = await consumer.getmany(timeout_ms=50)
                quiet = 0 if batches else quiet + 1  # markers at the end move no position
                for records in batches.values():
                    found += records
            return found
        finally:
            await consumer.stop()

    return asyncio.run(run())
