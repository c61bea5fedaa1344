"""Topic `upstream`: what the connector saw of a file, by stream or by poll. Observations are evidence, not verdicts."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import FileId, Kind, Name, Record, Source, Text, Timestamp, Url

TaskStatus = Literal["pending", "in_progress", "completed", "error"]


class _Observation(Record):
    """`generation` is that of the watch it was seen under, where the observer knows it."""

    file_id: FileId
    source: Source
    observed_at: Timestamp
    generation: Name | None = None


class Progress(_Observation):
    """How far it is, in percent: the parser has turned fractions into percents."""

    type: Literal["progress"] = "progress"
    progress: float = Field(ge=0, le=100)
    message: Text | None = None
    estimate_seconds: float | None = Field(default=None, ge=0)


class Result(_Observation):
    """A URL said to be the file's. Whether it is the job's the state machine decides."""

    type: Literal["result"] = "result"
    url: Url
    thumbnail_url: Url | None = None
    kind: Kind | None = None
    content_type: Text | None = None
    upstream_generation_id: Name | None = None


class TaskChange(_Observation):
    """One step of the flow changed. `completed` is not the end of the job: the URL comes later."""

    type: Literal["task"] = "task"
    task_id: Name | None = None
    status: TaskStatus
    message: Text | None = None


class Snapshot(_Observation):
    """The whole file object at one moment; `task_id` and `task_status` are those of its newest task."""

    type: Literal["snapshot"] = "snapshot"
    url: Url | None = None
    thumbnail_url: Url | None = None
    kind: Kind | None = None
    content_type: Text | None = None
    upstream_generation_id: Name | None = None
    task_id: Name | None = None
    task_status: TaskStatus | None = None
    message: Text | None = None


class Failure(_Observation):
    """The upstream said "error". With `named` false it did not say of which file: a reason to look, not a verdict."""

    type: Literal["failure"] = "failure"
    reason: Name
    message: Text | None = None
    task_id: Name | None = None
    named: bool = True


class Gap(_Observation):
    """From `since` to `until` no stream was live: events may have been missed (a look has followed)."""

    type: Literal["gap"] = "gap"
    source: Source = "sse"
    since: Timestamp
    until: Timestamp
    cause: Name


class Expired(_Observation):
    """The deadline passed, and a last look found no end."""

    type: Literal["expired"] = "expired"
    source: Source = "poll"


Observation = Annotated[
    Progress | Result | TaskChange | Snapshot | Failure | Gap | Expired, Field(discriminator="type")
]
