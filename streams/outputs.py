"""What is told of a job: its records on the topics downstream. Pure."""

from dataclasses import dataclass

from schemas import Artifact, ChatRef, Completion, Job, JobView, StorageRequest, Watch
from schemas.base import trusted
from schemas.ids import outcome_id
from schemas.outputs import Role


@dataclass(frozen=True, slots=True)
class EndWatch:
    """The file's watch is over: a tombstone on `watches`."""

    file_id: str


Told = Watch | EndWatch | Completion | Artifact | StorageRequest

_watch, _completion, _artifact, _storage = (
    trusted(Watch), trusted(Completion), trusted(Artifact), trusted(StorageRequest),
)  # fmt: skip
_PUBLIC = tuple(JobView.model_fields)


def watch(job: Job) -> Watch:
    """What the connector is to watch now."""
    return _watch(
        file_id=job.file_id,
        generation=job.generation,
        kind=job.kind,
        project_id=job.project_id,
        user_id=job.user_id,
        tracked_at=job.tracked_at,
        deadline_at=job.deadline_at,
        check=job.check,
    )


def completion(job: Job) -> Completion:
    """The outcome of a job that has just ended, under its derived id."""
    assert job.outcome is not None
    assert job.finished_at is not None
    return _completion(
        id=outcome_id(job.file_id, job.generation, job.outcome),
        outcome=job.outcome,
        late=job.late,
        file_id=job.file_id,
        generation=job.generation,
        project_id=job.project_id,
        user_id=job.user_id,
        chat=job.chats[0] if job.chats else None,
        kind=job.kind,
        url=job.url,
        thumbnail_url=job.thumbnail_url,
        reason=job.reason,
        message=job.message,
        won_by=job.won_by,
        tracked_at=job.tracked_at,
        finished_at=job.finished_at,
    )


def artifact(job: Job, chat: ChatRef) -> Artifact:
    """What one chat should show now."""
    known = job.__dict__
    return _artifact(chat=chat, **{name: known[name] for name in _PUBLIC})


def artifacts(job: Job) -> tuple[Artifact, ...]:
    """The same for every chat the job is shown in."""
    return tuple([artifact(job, chat) for chat in job.chats])


def storage(job: Job, role: Role) -> tuple[StorageRequest, ...]:
    """The request to copy the media or its thumbnail; nothing where there is no such URL."""
    url = job.url if role == "media" else job.thumbnail_url
    if url is None:
        return ()
    kind = job.kind if role == "media" else "image"
    request = _storage(
        file_id=job.file_id, generation=job.generation, url=url, kind=kind, role=role, finished_at=job.finished_at
    )
    return (request,)
