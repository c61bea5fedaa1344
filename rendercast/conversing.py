"""The gateway's orders and turns in the chat database, its errors in the gateway's words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson
import structlog

from connectors.chats import turns as chats
from connectors.chats.plan import plan_of
from connectors.chats.rows import Row
from connectors.chats.settings import ChatsSettings
from connectors.gateway.errors import Problem, bad_field
from connectors.gateway.generate import Begun
from connectors.gateway.orders import AnyOrder, Facts, Order
from connectors.gateway.turns import Turn
from schemas.errors import RejectRecord, RetryLater, StopProcess

log = structlog.get_logger()

_SECONDS = 8.0
"""For one transaction: somebody waits for it."""

_OF_A_JOB = (
    "generation", "version", "kind", "status", "progress", "estimate_seconds", "outcome", "reason", "late", "url",
    "thumbnail_url", "durable_url",
)  # fmt: skip


class ChatTurns:
    """The turns of the chat sink's database. Use it with `async with`."""

    def __init__(self, store: chats.TurnStore) -> None:
        self._store = store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.close()

    async def begin(self, order: Order, *, forget_before: datetime, over: str | None = None) -> Order:
        attempt = None if over is None else UUID(over)
        with _translated():
            found = await self._store.begin(
                _row(order), order.facts.prompt, forget_before=forget_before, over=attempt
            )  # fmt: skip
        return order if str(found.attempt) == order.attempt else await self._known(_order(found))

    async def save(self, order: Order, *, only_asked: bool = False) -> None:
        with _translated():
            await self._store.save(_row(order), only_asked=only_asked)

    async def again(self, order: AnyOrder) -> AnyOrder | None:
        row = _row(order)
        with _translated():
            found = await self._store.find_key(row.subject, row.request_key)
        if found is None or found.attempt != row.attempt:
            return None
        return await self._known(order.come_as_far_as(_order(found)))

    async def find(self, message_id: str) -> Turn | None:
        with _translated():
            found = await self._store.find(message_id)
            shown = [] if found else await self._store.artifacts(message_id)
        turn = _order(found) if found else _forgotten(shown)
        return await self._known(turn) if isinstance(turn, Turn) else None

    async def shown(self, turn: Turn) -> Sequence[Mapping[str, Any]]:
        with _translated():
            found = await self._store.artifacts(turn.message_id)
        return [
            {"file_id": str(each["file_id"]), "message": each["note"], **{name: each[name] for name in _OF_A_JOB}}
            for each in found
            if each["generation"] == turn.request_id
        ]

    async def _known(self, order: AnyOrder) -> AnyOrder:
        """With the files that its message shows, where nobody knows: then it has begun, whoever did not say so."""
        if order.state != "unsure" or not isinstance(order, Turn):
            return order
        files = tuple(_begun(each) for each in await self.shown(order))
        return order.changed(state="followed", files=files) if files else order


def turns(settings: ChatsSettings) -> ChatTurns | None:
    """None where no chat database is named: its default is the sink's, on its own machine. Raises StopProcess."""
    if "url" not in settings.model_fields_set:
        return None
    return ChatTurns(chats.TurnStore(settings.url.get_secret_value(), plan_of(settings), _SECONDS))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except chats.NoSuchChat as error:
        raise bad_field("chat_id", str(error)) from error
    except RejectRecord as error:
        log.warning("turn refused by the chat database", reason=str(error))
        raise Problem(422, "The chat database does not take this request; the gateway's log says why.") from error
    except StopProcess as error:
        log.warning("the chat database cannot be used", reason=str(error))
        raise Problem(503, "The chat database cannot be used as it is; the gateway's log says why.") from error
    except RetryLater as error:
        log.warning("the chat database does not answer", reason=str(error))  # which names the database's address
        raise RetryLater("The chat database does not answer now.", after=error.after) from error


def _row(order: Order) -> chats.Turn:
    assert order.key is not None, "one without a key is not kept"
    ids: dict[str, Any] = dict.fromkeys(("chat_id", "user_message_id", "message_id"))
    if isinstance(order, Turn):
        ids = {
            "chat_id": UUID(order.chat_id), "user_message_id": order.user_message_id, "message_id": order.message_id,
        }  # fmt: skip
    return chats.Turn(
        subject=order.subject, request_key=order.key, digest=order.digest, attempt=UUID(order.attempt),
        request_id=order.request_id, request=order.facts.model_dump_json(exclude_none=True), state=order.state,
        files=orjson.dumps([each.model_dump(exclude_none=True) for each in order.files]).decode(),
        problem=None if order.problem is None else orjson.dumps(order.problem).decode(), asked_at=order.asked_at,
        **ids,
    )  # fmt: skip


def _order(row: chats.Turn) -> Order:
    known = {
        "subject": row.subject, "key": row.request_key, "digest": row.digest, "attempt": str(row.attempt),
        "request_id": row.request_id, "facts": orjson.loads(row.request), "state": row.state,
        "files": orjson.loads(row.files), "asked_at": row.asked_at,
        "problem": None if row.problem is None else orjson.loads(row.problem),
    }  # fmt: skip
    if row.chat_id is None:
        return Order.model_validate(known)
    ids = {"chat_id": str(row.chat_id), "user_message_id": row.user_message_id, "message_id": row.message_id}
    return Turn.model_validate({**known, **ids})


def _forgotten(shown: Sequence[Row]) -> Turn | None:
    """A turn whose row was deleted, as its message tells it: of several generations the first."""
    if not shown:
        return None
    first = shown[0]
    facts = Facts.model_construct(  # unchecked: whatever the sink has written is shown
        kind=first["kind"], prompt=first["prompt"] or "", project_id=first["project_id"], user_id=first["user_id"]
    )  # fmt: skip
    return Turn(
        subject="", key=None, digest="", attempt="", request_id=first["generation"], facts=facts, state="followed",
        files=tuple(_begun(each) for each in shown if each["generation"] == first["generation"]),
        asked_at=first["tracked_at"], chat_id=str(first["chat_id"]), user_message_id=None,
        message_id=str(first["message_id"]),
    )  # fmt: skip


def _begun(shown: Mapping[str, Any]) -> Begun:
    return Begun(file_id=str(shown["file_id"]), kind=shown["kind"])
