"""A turn of a chat: an order with the messages of who asks and of what answers. Turns are kept in the chat database."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Annotated, Any, Protocol, Self

from pydantic import Field, StringConstraints

from connectors.gateway.generate import Generated, Wanted
from connectors.gateway.orders import Order, Orders
from schemas import ChatRef
from schemas.base import UUID_PATTERN, Name

ChatId = Annotated[str, StringConstraints(pattern=UUID_PATTERN, to_lower=True)]


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


class Turn(Order):
    """An order inside a chat. Its files' artifacts are shown by the message that answers."""

    chat_id: str
    user_message_id: str | None
    """None where the order is forgotten, and only the answer is there."""
    message_id: str

    def chat(self) -> ChatRef:
        return ChatRef(chat_id=self.chat_id, message_id=self.message_id)

    def names(self) -> dict[str, str]:
        asked = {} if self.user_message_id is None else {"user_message_id": self.user_message_id}
        return {"chat_id": self.chat_id, **asked, "message_id": self.message_id, **super().names()}

    def channels(self) -> tuple[str, ...]:
        """Where it is told; a grant on one of them is enough to read or cancel it."""
        named = (("project", self.facts.project_id), ("user", self.facts.user_id))
        of_order = (f"{kind}.{name}" for kind, name in named if name is not None)
        return (f"chat.{self.chat_id}", *of_order, *self.file_channels())

    def file_channels(self) -> tuple[str, ...]:
        return tuple(f"file.{each.file_id}" for each in self.files)


class Turns(Orders, Protocol):
    """The chat database: a turn is written with its two messages, and one that was refused loses them.

    It is open while the gateway runs. It keeps orders without messages, too.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def find(self, message_id: str) -> Turn | None:
        """The turn that this message answers. One that is forgotten is known by what its message shows."""

    async def shown(self, turn: Turn) -> Sequence[Mapping[str, Any]]:
        """The artifacts of the turn's message, as job documents, with `durable_url` where there is a copy."""
