"""Reading what came out, as anyone may: committed records only."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from connectors.kafka import connect, consumer
from rendercast.reading import extent, records
from rendercast.verify.audit import Evidence
from rendercast.verify.plan import Fact
from schemas.codec import (
    decode_artifact,
    decode_completion,
    decode_job,
    decode_storage_request,
    decode_watch,
)
from schemas.dead_letters import marked
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, TopicSettings
from schemas.topics import Topics

CLIENT = "rendercast-verify"


async def follow(kafka: KafkaSettings, names: Iterable[str]) -> AsyncIterator[ConsumerRecord]:
    """Every record of these topics from the beginning, for ever; after a lost connection from the beginning again."""
    while True:
        try:
            async with _reader(kafka, names) as client:
                await client.seek_to_beginning()
                async for record in client:
                    yield record
        except (KafkaError, StopProcess):
            await asyncio.sleep(0.5)


def fact_of(topics: Topics, record: ConsumerRecord) -> Fact | None:
    """What a record of `watches` or `completions` tells a script."""
    if record.value is None:
        return None
    if record.topic == topics.watches:
        watch = decode_watch(record.value)
        return Fact(watch.file_id, watch.generation, f"watch {watch.check}")
    completion = decode_completion(record.value)
    return Fact(completion.file_id, completion.generation, completion.outcome)


async def collect(kafka: KafkaSettings, topics: Topics) -> Evidence:
    """Everything that the processor has told."""
    found = Evidence()
    names = (topics.jobs, topics.watches, topics.completions, topics.storage, topics.artifacts, topics.dead_letters)
    for record in await read(kafka, names):
        key, value = (record.key or b"").decode(errors="replace"), record.value
        if marked(record.headers) is not None:
            continue
        if record.topic == topics.dead_letters:
            reason = dict(record.headers).get("reason", b"none")
            found.dead_letters.append((reason.decode(), value))
        elif record.topic == topics.jobs:
            found.documents[key] = None if value is None else decode_job(value)
        elif record.topic == topics.watches:
            found.watches[key] = None if value is None else decode_watch(value)
        elif record.topic == topics.completions:
            found.completions.append(decode_completion(value))
        elif record.topic == topics.storage:
            found.storage.append(decode_storage_request(value))
        else:
            found.artifacts.append(decode_artifact(value))
    return found


async def keep(kafka: KafkaSettings, settings: TopicSettings, files: set[str], path: Path) -> None:
    """Write all that any topic has of these files, and every dead letter, as JSON lines."""
    topics = settings.names
    with path.open("wb") as out:
        for record in await read(kafka, [spec.name for spec in topics.specs()]):
            key = (record.key or b"").decode(errors="replace")
            if key in files or record.topic == topics.dead_letters:
                line = {
                    "topic": record.topic, "partition": record.partition, "offset": record.offset,
                    "timestamp": record.timestamp, "key": key,
                    "value": record.value and record.value.decode(errors="replace"),
                }  # fmt: skip
                out.write(orjson.dumps(line) + b"\n")


async def read(kafka: KafkaSettings, names: Iterable[str]) -> list[ConsumerRecord]:
    """Every committed record, in order within a partition.

    It waits for transactions that are still open: a record behind one may be the one that should not be there.
    """
    return [record async for record in records(kafka, await extent(kafka, names, with_open=True))]


@asynccontextmanager
async def _reader(kafka: KafkaSettings, names: Iterable[str]) -> AsyncIterator[AIOKafkaConsumer]:
    client = consumer(kafka, CLIENT, None)
    client.subscribe(list(names))
    await connect(client, kafka)
    try:
        yield client
    finally:
        await client.stop()
