"""Jobs from the command line, by way of the topics: commands go in, documents are read."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer

from brokers import arguments
from connectors.kafka import close, connect, producer, translated
from rendercast.settings import Settings
from rendercast.topics import require
from schemas import Cancel, Check, JobView, Track, utcnow
from schemas.base import Kind
from schemas.codec import decode_job_view, encode
from schemas.errors import RejectRecord, StopProcess
from schemas.headers import headers
from schemas.jobs import Status
from streams.exactly_once import changelog


@dataclass(frozen=True, slots=True)
class Filters:
    """What a job has to be; None lets every one through. `overdue`: past its deadline, and not ended."""

    status: Status | None = None
    kind: Kind | None = None
    project_id: str | None = None
    user_id: str | None = None
    overdue: bool = False

    def take(self, job: JobView, now: datetime) -> bool:
        wanted = (
            ("status", self.status),
            ("kind", self.kind),
            ("project_id", self.project_id),
            ("user_id", self.user_id),
        )
        if any(value is not None and getattr(job, name) != value for name, value in wanted):
            return False
        return not self.overdue or (job.outcome is None and job.deadline_at < now)


async def send(settings: Settings, commands: Iterable[Track | Check | Cancel]) -> int:
    """Write them, each to the partition where its file's job is; how many. The broker has them when this returns."""
    topic = settings.topics.names.commands
    partitions = {key: number for number, held in (await documents(settings, topic)).items() for key in held}
    client = await connect(producer(settings.kafka, "rendercast-jobs"), settings.kafka)
    try:
        with translated():
            waiting = [
                await client.send(
                    topic, encode(each), key=each.file_id.encode(), headers=headers(each),
                    partition=partitions.get(each.file_id.encode()),
                )
                for each in commands
            ]  # fmt: skip
            await asyncio.gather(*waiting)
    finally:
        await close(client)
    return len(waiting)


async def show(settings: Settings, file_id: str) -> JobView | None:
    """The file's job as the `jobs` topic has it now, or None."""
    found = (await _rows(settings)).get(file_id.encode())
    return None if found is None else _view(found)


async def find(settings: Settings, filters: Filters) -> list[JobView]:
    """The jobs that the filters let through, the unfinished ones first, each part by its last change, newest first."""
    now = utcnow()
    found = [each for each in map(_view, (await _rows(settings)).values()) if filters.take(each, now)]
    return sorted(found, key=lambda each: (each.outcome is None, each.updated_at), reverse=True)


async def follow(settings: Settings, file_ids: Collection[str]) -> AsyncIterator[JobView]:
    """The files' jobs as they are, then each at each change; ends when all have ended."""
    await require(settings.kafka, settings.topics, {settings.topics.names.jobs})  # a subscription would make it
    unended = dict.fromkeys(file_ids, 0)  # and the version that was told last
    client = AIOKafkaConsumer(
        settings.topics.names.jobs,
        **arguments(settings.kafka),
        isolation_level="read_committed",
        auto_offset_reset="latest",
        fetch_max_wait_ms=50,
    )
    await connect(client, settings.kafka)
    try:
        await client.seek_to_end()  # first the end, then the rows: what comes between is seen twice, not missed
        for tp in client.assignment():
            await client.position(tp)
        wanted = {each.encode() for each in file_ids}
        there = [value for key, value in (await _rows(settings)).items() if key in wanted]
        while unended:
            for view in map(_view, there):
                if view.version > unended.get(view.file_id, view.version):
                    unended[view.file_id] = view.version
                    if view.outcome is not None:
                        del unended[view.file_id]
                    yield view
            there = []
            while unended and not there:
                record = await client.getone()
                if record.key in wanted and record.value is not None:
                    there = [record.value]
    finally:
        await client.stop()


async def documents(settings: Settings, *also: str) -> dict[int, changelog.Documents]:
    """The topic of jobs as it is now, by partition. `also` are topics that have to be there, too."""
    names = settings.topics.names
    await require(settings.kafka, settings.topics, {names.jobs, *also})
    return await changelog.load(settings.kafka, names.jobs, range(settings.topics.partitions))


async def _rows(settings: Settings) -> dict[bytes, bytes]:
    return {key: value for held in (await documents(settings)).values() for key, value in held.items()}


def _view(value: bytes) -> JobView:
    try:
        return decode_job_view(value)
    except RejectRecord as error:
        raise StopProcess(f"the document in the jobs topic cannot be read by this release: {error}") from error
