"""Asking for copies of what was completed before there was a storage sink.

Nothing breaks if it runs twice, or beside the sink: a request for what is there costs the sink one look, and the day
in an object's key is that of the job's end, whenever it is asked for.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connectors.kafka import close, connect, producer
from rendercast.reading import Extent, extent, records
from rendercast.settings import Settings
from rendercast.storage_tools.told import SKEW, name_of, names
from schemas import Completion, JobView, StorageRequest
from schemas.codec import decode_completion, decode_job_view, encode
from schemas.errors import RejectRecord, StopProcess
from schemas.headers import headers
from schemas.outputs import Role

R = TypeVar("R", Completion, JobView)

_NAME = "rendercast-backfill"
PART = 500
_SEND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """A copy to ask for, and the partition in which its file's records are; `there` where it is stored already."""

    request: StorageRequest
    partition: int
    there: bool


async def find(
    settings: Settings, since: datetime, until: datetime | None, *, again: bool = False
) -> AsyncGenerator[Wanted]:
    """What was completed in that time; with `again` nothing counts as there.

    Held are the names of what was stored since, and one partition's requests.
    """
    topics = settings.topics.names
    stored = await extent(settings.kafka, [topics.stored], since=since - SKEW)
    told = set() if again else await names(settings.kafka, stored)
    completions = await extent(settings.kafka, [topics.completions], since=since - SKEW)
    documents = await extent(settings.kafka, [topics.jobs])
    for number in sorted({*completions.partitions, *documents.partitions}):
        found = await _of_partition(settings, completions.of(number), documents.of(number), since, until)
        for name, request in found.items():
            yield Wanted(request, number, name in told)


async def _of_partition(
    settings: Settings, completions: Extent, documents: Extent, since: datetime, until: datetime | None
) -> dict[bytes, StorageRequest]:
    """By name. A document's URLs are fresher than its completion's, and its thumbnail may have come later."""
    found: dict[bytes, StorageRequest] = {}
    current: dict[bytes | None, tuple[StorageRequest, ...]] = {}
    async for record in records(settings.kafka, completions):
        completion = _read(decode_completion, record.value)
        if completion is not None:
            found |= {name_of(each): each for each in requests(completion, since, until)}
    async for record in records(settings.kafka, documents):
        job = _read(decode_job_view, record.value)
        current[record.key] = () if job is None else requests(job, since, until)
        if not current[record.key]:
            del current[record.key]
    return found | {name_of(each): each for group in current.values() for each in group}


def requests(ended: Completion | JobView, since: datetime, until: datetime | None) -> tuple[StorageRequest, ...]:
    """The requests that the processor makes of what was completed in that time: media, and its thumbnail."""
    at = ended.finished_at
    if ended.outcome != "completed" or at is None or at < since or (until is not None and at >= until):
        return ()
    urls: tuple[tuple[Role, str | None], ...] = (("media", ended.url), ("thumbnail", ended.thumbnail_url))
    return tuple(
        StorageRequest(
            file_id=ended.file_id, generation=ended.generation, url=url, role=role, finished_at=at,
            kind=ended.kind if role == "media" else "image",
        )
        for role, url in urls
        if url is not None
    )  # fmt: skip


def _read(decode: Callable[[bytes], R], value: bytes | None) -> R | None:
    """A record that is none of ours asks for nothing."""
    try:
        return decode(value) if value is not None else None
    except RejectRecord:
        return None


async def ask(
    settings: Settings, since: datetime, until: datetime | None, *, again: bool = False
) -> AsyncGenerator[list[Wanted]]:
    """Send the requests of what `find` finds and is not there; in parts, each once the broker has it."""
    client = await connect(producer(settings.kafka, _NAME), settings.kafka)
    try:
        part: list[Wanted] = []
        async for each in find(settings, since, until, again=again):
            part.append(each)
            if len(part) >= PART:
                await _send(client, settings.topics.names.storage, part)
                yield part
                part = []
        await _send(client, settings.topics.names.storage, part)
        yield part
    finally:
        await close(client)


async def _send(client: AIOKafkaProducer, topic: str, part: list[Wanted]) -> None:
    try:
        async with asyncio.timeout(_SEND_SECONDS):
            sent = [
                await client.send(
                    topic, encode(each.request), key=each.request.file_id.encode(), partition=each.partition,
                    headers=headers(each.request),
                )
                for each in part
                if not each.there
            ]  # fmt: skip
            await asyncio.gather(*sent)
    except (KafkaError, TimeoutError) as error:
        raise StopProcess(
            f"Kafka did not take the requests ({str(error) or 'no answer in time'}); run it again, that is harmless"
        ) from error
