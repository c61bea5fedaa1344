"""Topic `jobs`: the whole state of a file's current job. It is the changelog of the processor's table."""

from typing import Literal

from pydantic import Field

from schemas.base import (
    ChatRef,
    FileId,
    Generation,
    Int64,
    Kind,
    ProjectId,
    Record,
    Source,
    TaskId,
    Text,
    Timestamp,
    UpstreamGenerationId,
    Url,
    UserId,
)

Status = Literal["pending", "processing", "completed", "error"]
Outcome = Literal["completed", "failed", "timed_out", "cancelled", "superseded"]
Reason = Literal["upstream", "timed_out", "cancelled", "superseded"]

DOCUMENT_FORMAT = 1
"""Raised when an older processor could not carry on from a document; it stops rather than overwrite one."""


class JobView(Record):
    """What everybody may see of a job. `version` grows by one with every change, over all generations of the file."""

    file_id: FileId
    generation: Generation
    version: Int64 = Field(ge=1, description="Grows by one with every change of the file, over all its generations.")
    kind: Kind = Field(description="What is being generated.")
    status: Status = Field(description="Where the job stands.")
    progress: float = Field(default=0, ge=0, le=100, description="Percent; within a generation it only grows.")
    message: Text | None = Field(default=None, description="The upstream's own words.")
    estimate_seconds: float | None = Field(default=None, description="How long it is likely to take, in seconds.")
    outcome: Outcome | None = Field(default=None, description="How the generation ended; absent while it has not.")
    reason: Reason | None = Field(default=None, description="Why the status is `error`.")
    late: bool = Field(default=False, description="Whether the result came after the deadline.")
    url: Url | None = Field(default=None, description="The result, as the upstream wrote it: encode only to fetch.")
    thumbnail_url: Url | None = Field(default=None, description="A still of the result; may come after it.")
    won_by: Source | None = Field(default=None, description="Which of the upstream's voices told the outcome first.")
    gaps: Int64 = Field(default=0, ge=0, description="How often nobody listened to the upstream's events.")
    project_id: ProjectId | None = None
    user_id: UserId | None = None
    prompt: Text | None = Field(default=None, description="What was asked for, in the user's words.")
    deadline_at: Timestamp = Field(description="When it ends as `timed_out` unless it has ended before.")
    tracked_at: Timestamp = Field(description="When the generation was first asked for.")
    updated_at: Timestamp = Field(description="The time of what changed the job last.")
    finished_at: Timestamp | None = Field(
        default=None, description="When the generation ended; absent while it has not."
    )


class EarlierGeneration(Record):
    """What an earlier generation of the file ended with. An observation that carries any of it is stale."""

    generation: Generation
    upstream_generation_id: UpstreamGenerationId | None = None
    url: Url | None = Field(default=None, description="The URL it ended with.")
    task_id: TaskId | None = None


class Job(JobView):
    """The document of the table: the public view and what the state machine has to remember.

    `applied` is the last offset applied of each source topic for this key: an event at or below it is a replay.
    A document without `format` has format 1. What goes without saying is left out: a million of these are in memory.
    """

    unsaid = (("late", False), ("format", 1), ("check", 0), ("watching", False))

    format: Int64 = Field(default=1, description="Which processors can carry on from it. The processor's own.")
    chats: tuple[ChatRef, ...] = Field(default=(), description="Where the result is shown.")
    upstream_generation_id: UpstreamGenerationId | None = None
    task_id: TaskId | None = None
    check: Int64 = Field(default=0, ge=0, description="How many looks were asked for. The processor's own.")
    checked_at: Timestamp | None = Field(default=None, description="When one was asked for last. The processor's own.")
    watching: bool = Field(default=False, description="Whether it is watched. The processor's own.")
    earlier: tuple[EarlierGeneration, ...] = Field(
        default=(), description="What earlier generations ended with. The processor's own."
    )
    applied: dict[str, Int64] = Field(
        default_factory=dict, description="By source topic, the last offset applied. The processor's own."
    )
