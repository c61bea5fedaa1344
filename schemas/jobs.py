"""Topic `jobs`: the whole state of a file's current job. It is the changelog of the processor's table."""

from typing import Literal

from pydantic import Field

from schemas.base import ChatRef, FileId, Kind, Name, Record, Source, Text, Timestamp, Url

Status = Literal["pending", "processing", "completed", "error"]
Outcome = Literal["completed", "failed", "timed_out", "cancelled", "superseded"]
Reason = Literal["upstream", "timed_out", "cancelled", "superseded"]

DOCUMENT_FORMAT = 1
"""Raised when an older processor could not carry on from a document; it stops rather than overwrite one."""


class JobView(Record):
    """What everybody may see of a job. `version` grows by one with every change, over all generations of the file."""

    file_id: FileId
    generation: Name
    version: int = Field(ge=1)
    kind: Kind
    status: Status
    progress: float = Field(default=0, ge=0, le=100)
    message: Text | None = None
    estimate_seconds: float | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    late: bool = False
    url: Url | None = None
    thumbnail_url: Url | None = None
    won_by: Source | None = None
    gaps: int = Field(default=0, ge=0)
    project_id: Name | None = None
    user_id: Name | None = None
    prompt: Text | None = None
    deadline_at: Timestamp
    tracked_at: Timestamp
    updated_at: Timestamp
    finished_at: Timestamp | None = None


class EarlierGeneration(Record):
    """What an earlier generation of the file ended with. An observation that carries any of it is stale."""

    generation: Name
    upstream_generation_id: Name | None = None
    url: Url | None = None
    task_id: Name | None = None


class Job(JobView):
    """The document of the table: the public view and what the state machine has to remember.

    `applied` is the last offset applied of each source topic for this key: an event at or below it is a replay.
    A document without `format` has format 1. What goes without saying is left out: a million of these are in memory.
    """

    unsaid = (("late", False), ("format", 1), ("check", 0), ("watching", False))

    format: int = 1
    chats: tuple[ChatRef, ...] = ()
    upstream_generation_id: Name | None = None
    task_id: Name | None = None
    check: int = Field(default=0, ge=0)
    checked_at: Timestamp | None = None
    watching: bool = False
    earlier: tuple[EarlierGeneration, ...] = ()
    applied: dict[str, int] = Field(default_factory=dict)
