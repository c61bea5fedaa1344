"""Records as the processor writes them, and a consumer group seen from outside."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest

from schemas import Completion, utcnow
from schemas.codec import encode
from schemas.headers import headers
from schemas.ids import outcome_id

Raw = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers."""


def completion(outcome: str = "completed", **fields) -> Completion:
    """An outcome of a file of its own."""
    file_id, now = str(uuid.uuid4()), utcnow()
    url = "https://cdn.example.com/a.mp4" if outcome == "completed" else None
    known = {
        "id": outcome_id(file_id, "g1", outcome), "outcome": outcome, "file_id": file_id, "generation": "g1",
        "kind": "video", "url": url, "tracked_at": now, "finished_at": now,
    }  # fmt: skip
    return Completion(**known | fields)


def raw(record: Completion) -> Raw:
    return record.file_id.encode(), encode(record), headers(record)


def odd(value: bytes | None, ce_type: bytes | None = b"rendercast.completion") -> Raw:
    """Anything, under a key of its own."""
    return uuid.uuid4().hex.encode(), value, [] if ce_type is None else [("ce_type", ce_type)]


def write(kafka, topic: str, *records: Raw, aborted: tuple[Raw, ...] = ()) -> list[str]:
    """One transaction of each of the two kinds, the aborted one first; the places of the committed records."""

    async def run() -> list[str]:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, transactional_id=f"test-{uuid.uuid4().hex[:8]}")
        await producer.start()

        async def send(key, value, told) -> str:
            sent = await producer.send_and_wait(topic, value, key=key, headers=told)
            return f"{sent.topic}/{sent.partition}/{sent.offset}"

        try:
            if aborted:
                await producer.begin_transaction()
                for each in aborted:
                    await send(*each)
                await producer.abort_transaction()
            async with producer.transaction():
                return [await send(*each) for each in records]
        finally:
            await producer.stop()

    return asyncio.run(run())


class Group:
    """A consumer group, from outside."""

    def __init__(self, kafka, name: str) -> None:
        self._servers, self.name = kafka.servers, name

    def committed(self) -> dict[int, int]:
        """Its offsets, by partition."""

        async def run() -> dict[int, int]:
            async with self._admin() as admin:
                found = await admin.list_consumer_group_offsets(self.name)
                return {tp.partition: each.offset for tp, each in found.items()}

        return asyncio.run(run())

    def has_read(self, places: list[str]) -> bool:
        """Whether its offsets are past all of these."""
        committed = self.committed()
        parts = [place.rsplit("/", 2) for place in places]
        return all(committed.get(int(partition), 0) > int(offset) for _, partition, offset in parts)

    def members(self) -> list[str]:
        """Those who have partitions; none while it rebalances."""

        async def run() -> list[str]:
            async with self._admin() as admin:
                state, members = await _described(admin, self.name)
                return members if state == "Stable" else []

        return asyncio.run(run())

    def put_out_the_dead(self) -> None:
        """As the broker does after the session timeout, which is too long for a test."""

        async def run() -> None:
            async with self._admin() as admin:
                _, members = await _described(admin, self.name)
                coordinator = await admin.find_coordinator(self.name)
                for each in members:
                    await admin._send_request(LeaveGroupRequest(self.name, each), coordinator)

        asyncio.run(run())

    def put_back(self, topic: str, partitions: int) -> None:
        """To the beginning; it has no members."""

        async def run() -> None:
            consumer = AIOKafkaConsumer(bootstrap_servers=self._servers, group_id=self.name, enable_auto_commit=False)
            await consumer.start()
            try:
                tps = [TopicPartition(topic, number) for number in range(partitions)]
                consumer.assign(tps)
                await consumer.commit(dict.fromkeys(tps, 0))
            finally:
                await consumer.stop()

        asyncio.run(run())

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


async def _described(admin: AIOKafkaAdminClient, name: str) -> tuple[str, list[str]]:
    (answer,) = await admin.describe_consumer_groups([name])
    _, _, state, _, _, members, *_ = answer.groups[0]
    return state, [member[0] for member in members]
