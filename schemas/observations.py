"""Topic `upstream`: what the connector saw of a file, by stream or by poll. Observations are evidence, not verdicts."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import (
    FileId,
    Generation,
    Kind,
    Name,
    Record,
    Source,
    TaskId,
    Text,
    Timestamp,
    UpstreamGenerationId,
    Url,
)

TaskStatus = Literal["pending", "in_progress", "completed", "error"]


class _Observation(Record):
    """`generation` is that of the watch it was seen under, where the observer knows it."""

    file_id: FileId
    source: Source = Field(description="Which of the upstream's voices told.")
    observed_at: Timestamp = Field(description="When it was seen.")
    generation: Generation | None = None


class Progress(_Observation):
    """How far it is, in percent: the parser has turned fractions into percents."""

    type: Literal["progress"] = Field(default="progress", description="Which observation it is.")
    progress: float = Field(ge=0, le=100, description="Percent.")
    message: Text | None = Field(default=None, description="The upstream's own words.")
    estimate_seconds: float | None = Field(default=None, ge=0, description="How long it is likely to take, in seconds.")


class Result(_Observation):
    """A URL said to be the file's. Whether it is the job's the state machine decides."""

    type: Literal["result"] = Field(default="result", description="Which observation it is.")
    url: Url = Field(description="As the upstream wrote it.")
    thumbnail_url: Url | None = Field(default=None, description="A still of the result.")
    kind: Kind | None = Field(default=None, description="What the upstream calls the file.")
    content_type: Text | None = Field(default=None, description="The media type that the upstream names.")
    upstream_generation_id: UpstreamGenerationId | None = None


class TaskChange(_Observation):
    """One step of the flow changed. `completed` is not the end of the job: the URL comes later."""

    type: Literal["task"] = Field(default="task", description="Which observation it is.")
    task_id: TaskId | None = None
    status: TaskStatus = Field(description="Where the step stands.")
    message: Text | None = Field(default=None, description="The upstream's own words.")


class Snapshot(_Observation):
    """The whole file object at one moment; `task_id` and `task_status` are those of its newest task."""

    type: Literal["snapshot"] = Field(default="snapshot", description="Which observation it is.")
    url: Url | None = Field(default=None, description="As the upstream wrote it; absent while there is none.")
    thumbnail_url: Url | None = Field(default=None, description="A still of the result.")
    kind: Kind | None = Field(default=None, description="What the upstream calls the file.")
    content_type: Text | None = Field(default=None, description="The media type that the upstream names.")
    upstream_generation_id: UpstreamGenerationId | None = None
    task_id: TaskId | None = None
    task_status: TaskStatus | None = Field(default=None, description="Where the newest step stands.")
    message: Text | None = Field(default=None, description="The upstream's own words.")


class Failure(_Observation):
    """The upstream said "error". With `named` false it did not say of which file: a reason to look, not a verdict."""

    type: Literal["failure"] = Field(default="failure", description="Which observation it is.")
    reason: Name = Field(description="A short name for what went wrong.")
    message: Text | None = Field(default=None, description="The upstream's own words.")
    task_id: TaskId | None = None
    named: bool = Field(default=True, description="Whether the upstream said that it was this file.")


class Gap(_Observation):
    """From `since` to `until` no stream was live: events may have been missed (a look has followed)."""

    type: Literal["gap"] = Field(default="gap", description="Which observation it is.")
    source: Source = Field(default="sse", description="Which of the upstream's voices was not heard.")
    since: Timestamp = Field(description="When the stream was lost.")
    until: Timestamp = Field(description="When one was live again.")
    cause: Name = Field(description="A short name for why it was lost.")


class Expired(_Observation):
    """The deadline passed, and a last look found no end."""

    type: Literal["expired"] = Field(default="expired", description="Which observation it is.")
    source: Source = Field(default="poll", description="How the last look was made.")


Observation = Annotated[
    Progress | Result | TaskChange | Snapshot | Failure | Gap | Expired, Field(discriminator="type")
]
