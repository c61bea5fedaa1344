"""A turn of a chat: what a user asked to be generated, the message that answers, and how far it has come.

Turns are kept in the chat database, so any gateway finds them; what keeps them is told apart from this room by `Turns`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from connectors.gateway.errors import Problem
from connectors.gateway.generate import Begun, Generated, Wanted
from schemas import ChatRef, Track
from schemas.base import UUID_PATTERN, Name, Text

ChatId = Annotated[str, StringConstraints(pattern=UUID_PATTERN, to_lower=True)]

State = Literal["asked", "begun", "followed", "refused", "unsure"]
"""The upstream is being asked; has begun these files; Kafka knows them, too; has begun nothing; nobody knows."""


class TurnBody(Wanted):
    """The body of `POST /api/generate-stream`. `request_id` marks the generation; without one it is made here."""

    kind: Generated
    chat_id: ChatId
    request_id: Name | None = None
    project_id: Name | None = None
    user_id: Name | None = None
    deadline_seconds: float | None = Field(default=None, gt=0, le=7 * 86_400)

    def channels(self) -> tuple[str, ...]:
        """Where the files will be told."""
        named = (("project", self.project_id), ("user", self.user_id))
        return (f"chat.{self.chat_id}", *(f"{kind}.{name}" for kind, name in named if name is not None))


class TurnOrder(BaseModel):
    """What has to be known of a request to follow its files later, by whomever."""

    model_config = ConfigDict(frozen=True)

    kind: Generated
    prompt: Text
    project_id: Name | None = None
    user_id: Name | None = None
    deadline_seconds: float | None = None


class Turn(BaseModel):
    """A request, one for each subject and key. `attempt` tells a later try from one that was refused."""

    model_config = ConfigDict(frozen=True)

    subject: str
    key: str
    digest: str
    attempt: str
    chat_id: str
    user_message_id: str
    message_id: str
    request_id: str
    order: TurnOrder
    asked_at: datetime
    state: State = "asked"
    files: tuple[Begun, ...] = ()
    problem: dict[str, Any] | None = None
    """Why nothing has begun, or nobody knows: status, detail, errors."""

    def changed(self, **values: Any) -> Self:
        return self.model_copy(update=values)

    def tracks(self, issued_at: datetime) -> list[Track]:
        """A command for each file: its artifact is to be shown by the turn's message."""
        order = self.order
        return [
            Track(
                file_id=each.file_id, kind=each.kind, request_id=self.request_id,
                upstream_generation_id=each.upstream_generation_id, project_id=order.project_id or each.project_id,
                user_id=order.user_id, chat=ChatRef(chat_id=self.chat_id, message_id=self.message_id),
                prompt=order.prompt, deadline_seconds=order.deadline_seconds, issued_at=issued_at,
            )
            for each in self.files
        ]  # fmt: skip

    def names(self) -> dict[str, str]:
        """The ids by which everybody finds it."""
        return {
            "chat_id": self.chat_id, "user_message_id": self.user_message_id, "message_id": self.message_id,
            "request_id": self.request_id,
        }  # fmt: skip

    def channels(self) -> tuple[str, ...]:
        """Where it is told; a grant on one of them is enough to read or cancel it."""
        named = (("project", self.order.project_id), ("user", self.order.user_id))
        of_order = (f"{kind}.{name}" for kind, name in named if name is not None)
        return (f"chat.{self.chat_id}", *of_order, *self.file_channels())

    def file_channels(self) -> tuple[str, ...]:
        return tuple(f"file.{each.file_id}" for each in self.files)


class Turns(Protocol):
    """Where turns are kept. It is open while the gateway runs. All raise RetryLater, or Problem."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def begin(self, turn: Turn, over: str | None = None) -> Turn:
        """Write the turn and its two messages, unless its key is there; returns what is there afterwards.

        One that was refused is replaced, and so is the attempt `over`.
        """

    async def save(self, turn: Turn, *, only_asked: bool = False) -> None:
        """Keep state, files and problem of this attempt. One that was refused loses its messages."""

    async def find(self, message_id: str) -> Turn | None:
        """The turn that this message answers."""

    async def shown(self, turn: Turn) -> Sequence[Mapping[str, Any]]:
        """The artifacts of the turn's message, as job documents, with `durable_url` where there is a copy."""


def unsure(turn: Turn) -> Problem:
    """What a repeat is told where nobody knows whether the upstream has begun."""
    return Problem(
        502,
        "The upstream was asked, and nobody knows whether it has begun. Nothing is asked again under this key: "
        "a new key may cost a second generation.",
        members={"reason": "unsure", **turn.names()},
    )
