"""Topic `commands`: what other services and the gateway ask for."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import (
    ChatRef,
    FileId,
    Generation,
    Kind,
    Name,
    ProjectId,
    Record,
    Text,
    Timestamp,
    UpstreamGenerationId,
    Url,
    UserId,
)


class Track(Record):
    """Watch this file until its current generation has ended.

    `request_id` marks the generation. Without one, `upstream_generation_id` does; without either, the command joins
    the job that is there, or makes a generation of its own.
    """

    type: Literal["track"] = Field(default="track", description="Which command it is.")
    file_id: FileId
    kind: Kind = Field(description="What is being generated.")
    request_id: Name | None = Field(default=None, description="The caller's id of the generation.")
    upstream_generation_id: UpstreamGenerationId | None = None
    project_id: ProjectId | None = None
    user_id: UserId | None = None
    chat: ChatRef | None = Field(default=None, description="Where the result is to be shown.")
    prompt: Text | None = Field(default=None, description="What was asked for, in the user's words.")
    deadline_seconds: float | None = Field(
        default=None,
        gt=0,
        le=7 * 86_400,
        description="Seconds from `issued_at` to the job's deadline; by kind if absent.",
    )
    estimate_seconds: float | None = Field(default=None, ge=0, description="How long it is likely to take, in seconds.")
    issued_at: Timestamp = Field(description="When it was asked for.")


class Check(Record):
    """Look at the file once, now. Works on a job that has timed out, too.

    With `expired_url`, a URL told earlier that its host refuses by now, also on a completed one: for a fresh URL.
    """

    type: Literal["check"] = Field(default="check", description="Which command it is.")
    file_id: FileId
    expired_url: Url | None = Field(default=None, description="A URL told earlier that its host refuses by now.")
    issued_at: Timestamp = Field(description="When it was asked for.")


class Cancel(Record):
    """End the job. With a generation: only if that is still the current one."""

    type: Literal["cancel"] = Field(default="cancel", description="Which command it is.")
    file_id: FileId
    generation: Generation | None = None
    issued_at: Timestamp = Field(description="When it was asked for.")


Command = Annotated[Track | Check | Cancel, Field(discriminator="type")]
