"""What is on the topic of observations: how much, which events of the source, and when the broker had them."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from benchmarks.cluster import Cluster
from benchmarks.medians import Failed

from rendercast import topics as admin

POLL_SECONDS = 0.1
READ_SECONDS = 120
_STAMP = re.compile(rb"at=(\d+).no=(\d+)")


@dataclass(frozen=True, slots=True)
class Observed:
    """The topic `name` of a cluster."""

    cluster: Cluster
    name: str
    partitions: int

    def stamp(self) -> None:
        """From now on a record's time is that of its append: the broker's clock, in milliseconds."""

        async def run() -> None:
            async with admin.admin(self.cluster.kafka) as client:
                wanted = {"message.timestamp.type": "LogAppendTime"}
                await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.name, wanted)])

        asyncio.run(run())

    def count(self) -> int:
        return asyncio.run(self._until(lambda _: True, 0, lambda: None))

    def until(self, records: int, seconds: float, running: Callable[[], None]) -> int:
        """Until so many records have been acknowledged. Raises Failed when the time is over."""
        return asyncio.run(self._until(lambda found: found >= records, seconds, running))

    def until_quiet(self, quiet: float, seconds: float) -> int:
        """Until nothing has come for `quiet` seconds."""
        found, since, give_up = -1, 0.0, time.monotonic() + seconds
        while time.monotonic() < give_up:
            now, before = self.count(), found
            if now != before:
                found, since = now, time.monotonic()
            elif time.monotonic() - since >= quiet:
                return found
            time.sleep(POLL_SECONDS)
        raise Failed(f"observations still come after {seconds:.0f} s")

    def delays(self) -> dict[int, float]:
        """By the event's number: milliseconds from its write to its append, rounded up; of its first record."""
        return asyncio.run(self._delays())

    async def _until(self, reached: Callable[[int], bool], seconds: float, running: Callable[[], None]) -> int:
        give_up = time.monotonic() + seconds
        async with AIOKafkaConsumer(bootstrap_servers=self.cluster.servers) as consumer:
            while not reached(found := sum((await consumer.end_offsets(self._all())).values())):
                running()
                if time.monotonic() > give_up:
                    raise Failed(f"{found:,} records on the topic of observations after {seconds:.0f} s")
                await asyncio.sleep(POLL_SECONDS)
        return found

    async def _delays(self) -> dict[int, float]:
        found: dict[int, float] = {}
        async with AIOKafkaConsumer(
            bootstrap_servers=self.cluster.servers, enable_auto_commit=False, auto_offset_reset="earliest"
        ) as consumer:
            consumer.assign(self._all())
            ends = await consumer.end_offsets(self._all())
            async with asyncio.timeout(READ_SECONDS):
                while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        for record in records:
                            if stamp := _STAMP.search(record.value):
                                # A millisecond more: the broker's has no fraction.
                                delay = record.timestamp + 1 - int(stamp[1]) / 1e6
                                found.setdefault(int(stamp[2]), delay)
        return found

    def _all(self) -> list[TopicPartition]:
        return [TopicPartition(self.name, number) for number in range(self.partitions)]
