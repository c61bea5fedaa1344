"""Topic `commands`: what other services and the gateway ask for."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import ChatRef, FileId, Kind, Name, Record, Text, Timestamp, Url


class Track(Record):
    """Watch this file until its current generation has ended.

    `request_id` marks the generation. Without one, `upstream_generation_id` does; without either, the command joins
    the job that is there, or makes a generation of its own.
    """

    type: Literal["track"] = "track"
    file_id: FileId
    kind: Kind
    request_id: Name | None = None
    upstream_generation_id: Name | None = None
    project_id: Name | None = None
    user_id: Name | None = None
    chat: ChatRef | None = None
    prompt: Text | None = None
    deadline_seconds: float | None = Field(default=None, gt=0, le=7 * 86_400)
    estimate_seconds: float | None = Field(default=None, ge=0)
    issued_at: Timestamp


class Check(Record):
    """Look at the file once, now. Works on a job that has timed out, too.

    With `expired_url`, a URL told earlier that its host refuses by now, also on a completed one: for a fresh URL.
    """

    type: Literal["check"] = "check"
    file_id: FileId
    expired_url: Url | None = None
    issued_at: Timestamp


class Cancel(Record):
    """End the job. With a generation: only if that is still the current one."""

    type: Literal["cancel"] = "cancel"
    file_id: FileId
    generation: Name | None = None
    issued_at: Timestamp


Command = Annotated[Track | Check | Cancel, Field(discriminator="type")]
