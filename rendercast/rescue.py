"""What an operator does after a topic was lost: docs/operate.md says when."""

from collections.abc import Collection, Iterator
from typing import Literal

from aiokafka import TopicPartition

from rendercast import groups
from rendercast import topics as admin
from rendercast.jobs import documents
from rendercast.rights import rights
from rendercast.settings import Settings
from schemas import Check, Job, Track, utcnow
from schemas.codec import decode_job
from schemas.errors import RejectRecord, StopProcess

Command = Track | Check
_LEAST_SECONDS = 1.0


async def unfinished(settings: Settings, form: Literal["track", "check"]) -> list[Command]:
    """A command for each job that has not ended: to track it in each of its chats as it is, or to look at it."""
    found: list[Command] = []
    for value in (value for held in (await documents(settings)).values() for value in held.values()):
        try:
            job = decode_job(value)
        except RejectRecord as error:
            raise StopProcess(f"the document in the jobs topic cannot be read by this release: {error}") from error
        if job.outcome is None:
            found += _tracks(job) if form == "track" else [Check(file_id=job.file_id, issued_at=utcnow())]
    return found


def _tracks(job: Job) -> Iterator[Track]:
    """The same generation, with what is left of its time; a chat each."""
    now = utcnow()
    left = max(_LEAST_SECONDS, (job.deadline_at - now).total_seconds())
    for chat in job.chats or (None,):
        yield Track(
            file_id=job.file_id, kind=job.kind, request_id=job.generation, project_id=job.project_id,
            upstream_generation_id=job.upstream_generation_id, user_id=job.user_id, chat=chat, prompt=job.prompt,
            deadline_seconds=left, estimate_seconds=job.estimate_seconds, issued_at=now,
        )  # fmt: skip


async def remake(settings: Settings, names: Collection[str]) -> None:
    """Delete topics with all that is in them, and make them anew. Raises StopProcess while a process uses them."""
    known = {each.name for each in settings.topics.names.specs()}
    unknown = sorted(set(names) - known)
    if unknown:
        raise StopProcess(f"no topic of ours: {', '.join(unknown)}; ours are {', '.join(sorted(known))}")
    running = [process for process in await groups.running(settings) if rights(settings)[process].topics & set(names)]
    if running:
        raise StopProcess(f"still running, and using these topics: {', '.join(running)}. Stop all of them first")
    await admin.delete(settings.kafka, settings.topics, names)
    await admin.apply(settings.kafka, settings.topics)


async def rewind(settings: Settings) -> None:
    """Put the processor's group back to the beginning of its sources. Raises StopProcess while a processor runs."""
    names, group = settings.topics.names, rights(settings)["processor"].group
    assert group is not None
    await admin.require(settings.kafka, settings.topics, {names.commands, names.upstream})  # a commit would make them
    await groups.rewind(
        settings.kafka, group,
        [
            TopicPartition(topic, number)
            for topic in (names.commands, names.upstream)
            for number in range(settings.topics.partitions)
        ],
    )  # fmt: skip
