"""The shapes of what the routes answer, for those who read the OpenAPI document. A test holds the routes to them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from schemas import JobView
from schemas.base import FileId, Kind, Name


class Accepted(BaseModel):
    """Kafka has the command. What becomes of it is told by the job's events."""

    file_id: FileId
    generation: Name | None = None


class Jobs(BaseModel):
    """Some of the jobs, and how many there are."""

    jobs: list[JobView]
    total: int = Field(ge=0)


class BegunFile(BaseModel):
    """A file that is being generated and followed."""

    file_id: FileId
    kind: Kind
    generation: Name
    project_id: Name | None = None


class Generation(BaseModel):
    """All files of one call."""

    request_id: Name
    files: list[BegunFile] = Field(min_length=1)


class Cancelled(BaseModel):
    """Kafka has a command for each file of the turn. What had ended stays as it was."""

    message_id: Name
    file_ids: list[FileId]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]
    time: datetime


class Ready(BaseModel):
    """The jobs are read, and Kafka answers."""

    status: Literal["ready"]


class WrongField(BaseModel):
    """One field that is wrong."""

    field: str
    message: str


class ProblemDetails(BaseModel):
    """RFC 9457. A 503 of a generate call that has begun has the members of `Generation`, too.

    Where a turn of a chat has begun, or nobody knows whether it has (`reason` is `unsure`), its ids are told.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[WrongField] | None = None
    request_id: Name | None = None
    files: list[BegunFile] | None = None
    chat_id: Name | None = None
    user_message_id: Name | None = None
    message_id: Name | None = None
    reason: str | None = None
