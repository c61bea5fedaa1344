"""Reading what came out: topics by a reader of their own, and the chat databases."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from aiokafka import AIOKafkaConsumer
from sqlalchemy import select

from brokers import arguments
from connectors.chats.database import make_engine
from connectors.chats.tables import OWN_TABLES
from schemas import Completion, Job, Stored, is_uuid
from schemas.codec import decode_completion, decode_job, decode_stored
from schemas.ids import chat_uuid
from schemas.settings import KafkaSettings
from schemas.topics import Topics

T = TypeVar("T")
QUIET_POLLS = 5


async def completions(kafka: KafkaSettings, topics: Topics) -> list[Completion]:
    """Every outcome announced."""
    return await _read(kafka, topics.completions, decode_completion)


async def stored(kafka: KafkaSettings, topics: Topics) -> list[Stored]:
    """Every copy told of."""
    return await _read(kafka, topics.stored, decode_stored)


async def follow_jobs(kafka: KafkaSettings, topics: Topics, show: Callable[[Job], None]) -> None:
    """Hand over every document, for ever."""
    client = _reader(kafka, topics.jobs)
    await client.start()
    try:
        async for record in client:
            if record.value is not None:
                show(decode_job(record.value))
    finally:
        await client.stop()


async def artifacts(database: Path, local: Path) -> Counter[tuple[str, str, str]]:
    """Rows of completed artifacts by (chat, file, generation): real chats from one database, tools' from the other."""
    found: Counter[tuple[str, str, str]] = Counter()
    names = {UUID(chat_uuid(name)): name for name in ("image-generator-tool", "video-generator-tool")}
    shown = OWN_TABLES.artifact.c
    columns = (shown.chat_id, shown.file_id, shown.generation)
    for path, is_wanted in ((database, is_uuid), (local, lambda name: not is_uuid(name))):
        engine = make_engine(f"sqlite:///{path}")
        try:
            async with engine.connect() as connection:
                rows = await connection.execute(select(*columns).where(shown.status == "completed"))
                keys = [(names.get(chat, str(chat)), str(file), generation) for chat, file, generation in rows]
            found.update(key for key in keys if is_wanted(key[0]))
        finally:
            await engine.dispose()
    return found


def _reader(kafka: KafkaSettings, topic: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic, **arguments(kafka), isolation_level="read_committed", auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )  # fmt: skip


async def _read(kafka: KafkaSettings, topic: str, decode: Callable[[bytes], T]) -> list[T]:
    client = _reader(kafka, topic)
    await client.start()
    try:
        ends = await client.end_offsets(list(client.assignment()))
        found: list[T] = []
        quiet = 0
        async with asyncio.timeout(30):
            while quiet < QUIET_POLLS and any([await client.position(tp) < end for tp, end in ends.items()]):
                batches = await client.getmany(timeout_ms=100)
                quiet = 0 if batches else quiet + 1
                found += [decode(record.value) for records in batches.values() for record in records]
        return found
    finally:
        await client.stop()
