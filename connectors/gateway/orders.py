"""An order: what somebody asked to be generated, once for each key, and how far it has come.

Orders are kept in the chat database, where any gateway finds them, or in memory: what keeps them is told apart from
this room by `Orders`.
"""

from datetime import datetime
from typing import Any, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from connectors.gateway.errors import Problem
from connectors.gateway.generate import Begun, Generated
from schemas import ChatRef, Track
from schemas.base import Name, Text

State = Literal["asked", "begun", "followed", "refused", "unsure"]
"""The upstream is being asked; has begun these files; Kafka knows them, too; has begun nothing; nobody knows."""


class Facts(BaseModel):
    """What has to be known of a request to follow its files later, by whomever."""

    model_config = ConfigDict(frozen=True)

    kind: Generated
    prompt: Text
    project_id: Name | None = None
    user_id: Name | None = None
    chat: ChatRef | None = None
    deadline_seconds: float | None = None


class Order(BaseModel):
    """A request, one for each subject and key. `attempt` tells a later try from one that was refused."""

    model_config = ConfigDict(frozen=True)

    subject: str
    key: str | None
    """None: each request is one of its own, and nobody keeps it."""
    digest: str
    attempt: str
    request_id: str
    facts: Facts
    asked_at: datetime
    state: State = "asked"
    files: tuple[Begun, ...] = ()
    problem: dict[str, Any] | None = None
    """Why nothing has begun, or nobody knows: status, detail, errors."""

    def changed(self, **values: Any) -> Self:
        return self.model_copy(update=values)

    def come_as_far_as(self, other: "Order") -> Self:
        """With what is known of the same attempt elsewhere."""
        return self.changed(state=other.state, files=other.files, problem=other.problem)

    def chat(self) -> ChatRef | None:
        """Where its artifacts are to be shown."""
        return self.facts.chat

    def tracks(self, issued_at: datetime) -> list[Track]:
        """A command for each file."""
        facts = self.facts
        return [
            Track(
                file_id=each.file_id, kind=each.kind, request_id=self.request_id,
                upstream_generation_id=each.upstream_generation_id, project_id=facts.project_id or each.project_id,
                user_id=facts.user_id, chat=self.chat(), prompt=facts.prompt,
                deadline_seconds=facts.deadline_seconds, issued_at=issued_at,
            )
            for each in self.files
        ]  # fmt: skip

    def names(self) -> dict[str, str]:
        """The ids by which everybody finds it."""
        return {"request_id": self.request_id}

    def told(self) -> dict[str, Any]:
        """Its ids, and those of the files that have begun."""
        files = []
        for each in self.files:
            project_id = self.facts.project_id or each.project_id
            file = {"file_id": each.file_id, "kind": each.kind, "generation": self.request_id}
            files.append({**file, "project_id": project_id} if project_id else file)
        return {**self.names(), "files": files}


AnyOrder = TypeVar("AnyOrder", bound=Order)


class Orders(Protocol):
    """Where orders are kept. All raise RetryLater, or Problem."""

    async def begin(self, order: Order, *, forget_before: datetime, over: str | None = None) -> Order:
        """Write the order, unless its key is there; returns what is there afterwards.

        One that was refused is replaced, and so is the attempt `over`. Some that were asked before `forget_before`
        may be forgotten.
        """

    async def save(self, order: Order, *, only_asked: bool = False) -> None:
        """Keep state, files and problem of this attempt, if it is there; with `only_asked` while its state is that."""

    async def again(self, order: AnyOrder) -> AnyOrder | None:
        """The order as it is now; None where it is no longer this attempt."""


def unsure(order: Order) -> Problem:
    """What is told where nobody knows whether the upstream has begun."""
    return Problem(
        502,
        "The upstream was asked, and nobody knows whether it has begun. Nothing is asked again under this key: "
        "a new key may cost a second generation.",
        members={"reason": "unsure", **order.names()},
    )


def as_told(order: Order) -> Problem:
    """Of an order that was refused, or is unsure: what whoever asked was told, if they lived to hear it."""
    known = order.problem
    if known is None:
        return unsure(order)
    members = unsure(order).members if order.state == "unsure" else None
    return Problem(known["status"], known["detail"], errors=known["errors"], headers=known["headers"], members=members)


def kept(error: Problem) -> dict[str, Any]:
    """What an order keeps of it, for `as_told`."""
    return {
        "status": error.status, "detail": error.detail, "errors": list(error.errors),
        "headers": dict(error.headers or {}),
    }  # fmt: skip
