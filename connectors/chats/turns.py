"""Turns: a user's message, the message that answers it, and whether the upstream was asked for it, in one transaction.

Who writes a turn's key first has it. Others find what is there; so of two that race, one asks the upstream. What is
asked for outside a chat is a turn without messages.
"""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.chats.bulk import on_postgres
from connectors.chats.database import look, make_engine, translated
from connectors.chats.messages import Told, insert_missing, notify
from connectors.chats.plan import Plan
from connectors.chats.rows import Row
from connectors.chats.tables import Tables, TurnState
from schemas import is_uuid
from schemas.errors import RejectRecord, RendercastError, StopProcess

_NAME = "the chat database"
_BETWEEN = timedelta(milliseconds=1)
"""The answer comes after the question, for whoever orders by time."""


CONNECTIONS = 5
"""A transaction takes milliseconds, and somebody waits for each."""

FORGOTTEN_AT_ONCE = 20
"""Old turns that a new one takes along. More than one: so they become fewer."""


class NoSuchChat(RendercastError):
    """The chat is not there, and is not to be made. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A row of the table. `request`, `files` and `problem` are JSON of whoever writes it."""

    subject: str
    request_key: str
    digest: str
    attempt: UUID
    chat_id: UUID | None
    user_message_id: str | None
    message_id: str | None
    request_id: str
    request: str
    state: TurnState
    files: str
    problem: str | None
    asked_at: datetime


class TurnStore:
    """The turns of one chat database. Connects when it is used."""

    def __init__(self, url: str, plan: Plan, timeout: float) -> None:
        """Raises StopProcess for a URL that is none."""
        self._engine = make_engine(url, CONNECTIONS)
        self._plan, self._timeout = plan, timeout
        self._found: Tables | None = None

    async def begin(self, turn: Turn, prompt: str, *, forget_before: datetime, over: UUID | None = None) -> Turn:
        """Write the turn and its messages unless its key is there. Returns what is there afterwards.

        A turn that was refused is replaced, and so is the attempt `over`, whose messages stay. Some that were asked
        before `forget_before` are deleted. Raises NoSuchChat, RejectRecord, RetryLater (it may have been written all
        the same) or StopProcess.
        """
        async with self._transaction() as (connection, tables):
            if not await _take(connection, tables, turn, over):
                found = await _find(connection, tables, _is(tables, turn.subject, turn.request_key))
                assert found is not None, "the row is locked since it was in the way"
                return found
            if turn.chat_id is not None:
                if tables.theirs and "parts" not in tables.message.c:
                    raise StopProcess("the layout names no column for a user's words (parts)")
                await self._require_chat(connection, tables, turn)
                rows = _message_rows(tables, turn, prompt)
                await insert_missing(connection, tables.message, rows, tables.message_constants)
                await self._tell(connection, tables, turn, turn.user_message_id, turn.message_id)
            await _forget(connection, tables, forget_before)
        return turn

    async def save(self, turn: Turn, *, only_asked: bool = False) -> None:
        """Keep state, files and problem of this attempt, if it is the one that is there. Raises as `begin`.

        With `only_asked` only while its state is `asked`. The messages of one that was refused are deleted, where the
        application's tables let them go.
        """
        try:
            await self._save(turn, only_asked=only_asked, forget=turn.state == "refused")
        except RejectRecord:
            if turn.state != "refused":
                raise
            await self._save(turn, only_asked=only_asked, forget=False)

    async def find(self, message_id: str) -> Turn | None:
        """The turn that this message answers. Raises RetryLater or StopProcess."""
        async with self._transaction() as (connection, tables):
            if not tables.text_ids and not is_uuid(message_id):
                return None
            return await _find(connection, tables, tables.turn.c.message_id == _message_id(tables, message_id))

    async def find_key(self, subject: str, request_key: str) -> Turn | None:
        """The turn that has this key. Raises RetryLater or StopProcess."""
        async with self._transaction() as (connection, tables):
            return await _find(connection, tables, _is(tables, subject, request_key))

    async def artifacts(self, message_id: str) -> Sequence[Row]:
        """The artifacts that the message shows, in the order they were tracked. Raises RetryLater or StopProcess."""
        async with self._transaction() as (connection, tables):
            if not tables.text_ids and not is_uuid(message_id):
                return []
            own = tables.artifact
            shown = own.c.message_id == _message_id(tables, message_id)
            found = await connection.execute(select(own).where(shown).order_by(own.c.tracked_at, own.c.file_id))
            return [dict(each) for each in found.mappings()]

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self) -> Any:
        with translated(_NAME):
            async with asyncio.timeout(self._timeout):
                tables = await self._tables()
                async with self._engine.begin() as connection:
                    yield connection, tables

    async def _tables(self) -> Tables:
        """Found once. Raises StopProcess where the schema is not this release's or does not fit the layout."""
        if self._found is None:
            found = await look(self._engine, _NAME, self._plan)
            tables = found.adapted.require(_NAME)
            if not found.revisions.match:
                raise StopProcess(f"{_NAME} has another schema than this release: run `rendercast db upgrade`")
            self._found = tables
        return self._found

    async def _require_chat(self, connection: AsyncConnection, tables: Tables, turn: Turn) -> None:
        chat = tables.chat
        if self._plan.stubs:
            row = {"id": turn.chat_id, "created_at": turn.asked_at}
            await insert_missing(connection, chat, [row], tables.chat_constants)
        elif not (await connection.execute(select(chat.c.id).where(chat.c.id == turn.chat_id))).first():
            raise NoSuchChat(f"there is no chat {turn.chat_id}")

    async def _save(self, turn: Turn, *, only_asked: bool, forget: bool) -> None:
        async with self._transaction() as (connection, tables):
            own, message = tables.turn.c, tables.message
            there = [_is(tables, turn.subject, turn.request_key), own.attempt == turn.attempt]
            there += [own.state == "asked"] if only_asked else []
            changes = {"state": turn.state, "files": turn.files, "problem": turn.problem}
            saved = await connection.execute(update(tables.turn).where(*there).values(changes).returning(own.attempt))
            if saved.first() is None or turn.message_id is None:
                return
            if forget:
                ids = [_message_id(tables, each) for each in (turn.message_id, turn.user_message_id)]
                await connection.execute(delete(message).where(message.c.id.in_(ids)))
            elif turn.state == "unsure" and "status" in message.c:
                await _tell_error(connection, tables, _message_id(tables, turn.message_id))
            if forget or turn.state == "unsure":
                await self._tell(connection, tables, turn, turn.message_id)

    async def _tell(self, connection: AsyncConnection, tables: Tables, turn: Turn, *messages: str | None) -> None:
        if self._plan.notify and turn.chat_id is not None:
            told = [Told(turn.chat_id, _message_id(tables, each), 0) for each in messages]
            await notify(connection, told)


def _is(tables: Tables, subject: str, request_key: str) -> ColumnElement[bool]:
    own = tables.turn.c
    return (own.subject == subject) & (own.request_key == request_key)


async def _take(connection: AsyncConnection, tables: Tables, turn: Turn, over: UUID | None) -> bool:
    """Whether the key is this attempt's now. On Postgres this waits for others who are at it."""
    own = tables.turn
    row = {name: getattr(turn, name) for name in Turn.__dataclass_fields__} | {
        name: _message_id(tables, getattr(turn, name)) for name in ("user_message_id", "message_id")
    }
    statement = (postgresql if on_postgres(connection) else sqlite).insert(own).values(row)
    free = own.c.state == "refused"
    taken = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(own.primary_key),
            set_=row,
            where=free if over is None else or_(free, own.c.attempt == over),
        ).returning(own.c.attempt)
    )
    return taken.first() is not None


async def _find(connection: AsyncConnection, tables: Tables, which: ColumnElement[bool]) -> Turn | None:
    found = (await connection.execute(select(tables.turn).where(which))).mappings().first()
    if found is None:
        return None
    ids = {name: found[name] and str(found[name]) for name in ("user_message_id", "message_id")}
    return Turn(**{**found, **ids})


async def _forget(connection: AsyncConnection, tables: Tables, before: datetime) -> None:
    """Some of the oldest. Those that others are at are theirs: nobody waits here, so nobody deadlocks."""
    own = tables.turn.c
    key = own.subject, own.request_key
    old = select(*key).where(own.asked_at < before).order_by(own.asked_at).limit(FORGOTTEN_AT_ONCE)
    await connection.execute(delete(tables.turn).where(tuple_(*key).in_(old.with_for_update(skip_locked=True))))


async def _tell_error(connection: AsyncConnection, tables: Tables, message_id: Any) -> None:
    """Unless the message shows an artifact: then it has begun, and the sink tells how it goes.

    The message is locked first, as the sink does: a statement alone would judge by what was there when it began.
    """
    message, artifact = tables.message, tables.artifact
    answers = message.c.id == message_id
    await connection.execute(select(message.c.id).where(answers).with_for_update(key_share=True))
    shown = select(artifact.c.file_id).where(artifact.c.message_id == message_id).exists()
    await connection.execute(update(message).where(answers, ~shown).values({message.c.status: "error"}))


def _message_rows(tables: Tables, turn: Turn, prompt: str) -> list[Row]:
    """The question and the answer, which shows nothing yet."""
    words = prompt.replace("\0", "\ufffd")
    asked, answered = turn.asked_at, turn.asked_at + _BETWEEN
    both: Row = {"chat_id": turn.chat_id, "version": 0}
    question: Row = {
        "id": _message_id(tables, turn.user_message_id), "role": "user", "content": words,
        "parts": [{"type": "text", "text": words}], "status": "completed" if tables.theirs else None,
        "created_at": asked, "updated_at": asked,
    }  # fmt: skip
    answer: Row = {
        "id": _message_id(tables, turn.message_id), "role": tables.assistant, "content": "",
        "parts": [], "status": "pending",
        "created_at": answered, "updated_at": answered,
    }  # fmt: skip
    return [both | question, both | answer]


def _message_id(tables: Tables, found: str | None) -> Any:
    return found if tables.text_ids or found is None else UUID(found)
