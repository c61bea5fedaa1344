"""The broker as a benchmark needs it: topics of its own, records in bulk, committed offsets, what came out."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError
from benchmarks.medians import Failed
from benchmarks.work import Sent

from rendercast import topics as admin
from schemas.settings import KafkaSettings, TopicSettings

BATCH_BYTES = 256 * 1024
POLL_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Cluster:
    """Calls that return when the broker has done it."""

    servers: str

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.servers)

    def make(self, topics: TopicSettings) -> None:
        """All topics of the product under a prefix."""
        asyncio.run(admin.apply(self.kafka, topics))

    def create(self, partitions: int, *names: str, compacted: Iterable[str] = ()) -> None:
        async def run() -> None:
            new = [NewTopic(name, partitions, 1) for name in names]
            new += [NewTopic(name, partitions, 1, topic_configs={"cleanup.policy": "compact"}) for name in compacted]
            async with admin.admin(self.kafka) as client:
                await client.create_topics(new)

        asyncio.run(run())

    def delete(self, containing: str) -> None:
        """Every topic with `containing` in its name: ours, and those that the engines made for themselves."""

        async def run() -> None:
            async with admin.admin(self.kafka) as client:
                names = [name for name in await client.list_topics() if containing in name]
                if names:
                    await client.delete_topics(names)

        asyncio.run(run())

    def load(self, topic: str, records: Iterable[Sent]) -> None:
        """Write records in bulk, each to its partition, in order."""
        asyncio.run(_load(self.kafka, topic, records))

    def until_committed(
        self, group: str, topics: Iterable[str], seconds: float,
        look: Callable[[int], None] = lambda _: None, done: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """Until the group has committed the end of every partition, or `done`; `look` is given the sum each time.

        Raises Failed when the time is over.
        """
        asyncio.run(_until_committed(self.kafka, group, list(topics), seconds, look, done))

    def count(self, topic: str) -> Counter[bytes]:
        """How often each key stands on the topic, for a reader of committed records."""
        return asyncio.run(_count(self.kafka, topic))

    def first_record(self, topic: str, key: bytes, seconds: float, running: Callable[[], None]) -> float:
        """When (`time.monotonic`) a committed record of `key` could be read. `running` raises when waiting is vain."""
        return asyncio.run(_first_record(self.kafka, topic, key, seconds, running))

    def written(self, containing: str) -> int:
        """Records, and transaction markers, on all topics with `containing` in their names."""
        return asyncio.run(_written(self.kafka, containing))


async def _load(kafka: KafkaSettings, topic: str, records: Iterable[Sent]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, acks="all", max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        sent, batches = [], {}
        now = int(time.time() * 1000)
        for partition, key, value, headers, _ in records:
            batch = batches.get(partition)
            if batch is None or batch.append(timestamp=now, key=key, value=value, headers=headers) is None:
                if batch is not None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                batch.append(timestamp=now, key=key, value=value, headers=headers)
        for partition, batch in batches.items():
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


@asynccontextmanager
async def _reader(kafka: KafkaSettings, topic: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        *([topic] if topic else []), bootstrap_servers=kafka.servers, isolation_level="read_committed",
        auto_offset_reset="earliest", fetch_max_wait_ms=20,
    )  # fmt: skip
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _ends(kafka: KafkaSettings, topics: list[str]) -> dict[TopicPartition, int]:
    """The partitions that have something, and where they end for a reader of committed records."""
    async with admin.admin(kafka) as client:
        described = await client.describe_topics(topics)
    tps = [TopicPartition(each["topic"], part["partition"]) for each in described for part in each["partitions"]]
    async with _reader(kafka) as consumer:
        return {tp: end for tp, end in (await consumer.end_offsets(tps)).items() if end}


async def _until_committed(
    kafka: KafkaSettings, group: str, topics: list[str], seconds: float,
    look: Callable[[int], None], done: Callable[[], bool],
) -> None:  # fmt: skip
    ends = await _ends(kafka, topics)
    give_up = time.monotonic() + seconds
    async with admin.admin(kafka) as client:
        while True:
            try:
                offsets = await client.list_consumer_group_offsets(group, partitions=list(ends))
            except KafkaError:  # the group's coordinator is being found
                offsets = {}
            committed = {tp: max(0, offsets[tp].offset) if tp in offsets else 0 for tp in ends}
            look(sum(committed.values()))
            if committed == ends or done():
                return
            if time.monotonic() > give_up:
                raise Failed(f"committed {sum(committed.values())} of {sum(ends.values())} within {seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)


async def _count(kafka: KafkaSettings, topic: str) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    ends = await _ends(kafka, [topic])
    async with _reader(kafka, topic) as consumer:
        quiet = 0
        while quiet < 10 and any([await consumer.position(tp) < end for tp, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=50)
            quiet = 0 if batches else quiet + 1  # markers at the end move no position
            for records in batches.values():
                found.update(record.key for record in records)
    return found


async def _first_record(
    kafka: KafkaSettings, topic: str, key: bytes, seconds: float, running: Callable[[], None]
) -> float:
    give_up = time.monotonic() + seconds
    async with _reader(kafka, topic) as consumer:
        while time.monotonic() < give_up:
            for records in (await consumer.getmany(timeout_ms=20)).values():
                if any(record.key == key for record in records):
                    return time.monotonic()
            running()
    raise Failed(f"nothing of {key.decode()} on {topic} within {seconds:.0f} s")


async def _written(kafka: KafkaSettings, containing: str) -> int:
    async with admin.admin(kafka) as client:
        topics = [name for name in await client.list_topics() if containing in name]
    return sum((await _ends(kafka, topics)).values())
