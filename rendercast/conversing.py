"""The gateway's turns: the chat database, its errors in the gateway's words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson
import structlog

from connectors.chats import turns as chats
from connectors.chats.plan import plan_of
from connectors.chats.settings import ChatsSettings
from connectors.gateway.errors import Problem, bad_field
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

    async def begin(self, turn: Turn, over: str | None = None) -> Turn:
        with _translated():
            found = await self._store.begin(_row(turn), turn.order.prompt, None if over is None else UUID(over))
        return _turn(found)

    async def save(self, turn: Turn, *, only_asked: bool = False) -> None:
        with _translated():
            await self._store.save(_row(turn), only_asked=only_asked)

    async def find(self, message_id: str) -> Turn | None:
        with _translated():
            found = await self._store.find(message_id)
        return None if found is None else _turn(found)

    async def shown(self, turn: Turn) -> Sequence[Mapping[str, Any]]:
        with _translated():
            found = await self._store.artifacts(turn.message_id, turn.request_id)
        return [
            {"file_id": str(each["file_id"]), "message": each["note"], **{name: each[name] for name in _OF_A_JOB}}
            for each in found
        ]


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


def _row(turn: Turn) -> chats.Turn:
    return chats.Turn(
        subject=turn.subject, request_key=turn.key, digest=turn.digest, attempt=UUID(turn.attempt),
        chat_id=UUID(turn.chat_id), user_message_id=turn.user_message_id, message_id=turn.message_id,
        request_id=turn.request_id, request=turn.order.model_dump_json(exclude_none=True), state=turn.state,
        files=orjson.dumps([each.model_dump(exclude_none=True) for each in turn.files]).decode(),
        problem=None if turn.problem is None else orjson.dumps(turn.problem).decode(), asked_at=turn.asked_at,
    )  # fmt: skip


def _turn(row: chats.Turn) -> Turn:
    return Turn.model_validate({
        "subject": row.subject, "key": row.request_key, "digest": row.digest, "attempt": str(row.attempt),
        "chat_id": str(row.chat_id), "user_message_id": row.user_message_id, "message_id": row.message_id,
        "request_id": row.request_id, "order": orjson.loads(row.request), "state": row.state,
        "files": orjson.loads(row.files), "asked_at": row.asked_at,
        "problem": None if row.problem is None else orjson.loads(row.problem),
    })  # fmt: skip
