"""The message that shows an artifact, and what it shows."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import BigInteger, Table, Text, case, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.chats.bulk import among, document, inserting, on_postgres, relation, updating
from connectors.chats.parts import merged, part
from connectors.chats.rows import (
    ArtifactKey,
    MessageId,
    Row,
    asking_message_id,
    chat_rows,
    derived_message_row,
)
from connectors.chats.tables import Tables
from schemas import Artifact, is_uuid
from schemas.errors import RejectRecord, RendercastError

log = structlog.get_logger()

_SUMMARISED = ("status", "version", "updated_at")
_RANKED = ("processing", "pending", "completed", "error")
"""A message's status is the first of these that one of its artifacts has."""


class UnknownChats(RendercastError):
    """The chats of these artifacts are not there, and are not to be made. Nothing was written."""

    def __init__(self, keys: frozenset[ArtifactKey]) -> None:
        super().__init__("chats that the database does not have")
        self.keys = keys


@dataclass(frozen=True, slots=True)
class Found:
    """The message of each artifact, and the files of the artifacts that had none yet."""

    shown_by: Mapping[ArtifactKey, MessageId]
    new_files: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Told:
    """A message that has changed."""

    chat_id: UUID
    message_id: MessageId
    version: int


async def find(
    connection: AsyncConnection, tables: Tables, found: Mapping[ArtifactKey, Artifact], *, stubs: bool
) -> Found:
    """The message that shows each artifact: the one it has, else the one that asked, else a derived one, made here.

    Raises UnknownChats unless `stubs` says to make them. An artifact that has its message needs no chat: where the
    application has deleted one of the two, it stays deleted.
    """
    own = tables.artifact.c
    bound = await connection.execute(
        select(own.chat_id, own.file_id, own.generation, own.message_id)
        .where(among(connection, own.file_id, {file for _, file, _ in found}))
    )  # fmt: skip
    shown_by: dict[ArtifactKey, MessageId] = {(chat, file, made): shown for chat, file, made, shown in bound}
    fresh = {key: each for key, each in found.items() if key not in shown_by}
    if not fresh:
        return Found(shown_by, frozenset())
    if stubs:
        await insert_missing(connection, tables.chat, chat_rows(fresh), tables.chat_constants)
    else:
        await _require_chats(connection, tables, fresh)
    asked = await _chats_of_messages(connection, tables, fresh.values())
    made = []
    for key, each in fresh.items():
        asking = asking_message_id(each, text_ids=tables.text_ids)
        if asking is not None and asked.get(asking) == key[0]:
            shown_by[key] = asking
        else:
            row = derived_message_row(key, each, text_ids=tables.text_ids) | {"role": tables.assistant}
            shown_by[key] = row["id"]
            made.append(row)
    if made:
        await insert_missing(connection, tables.message, made, tables.message_constants)
    return Found(shown_by, frozenset(file for _, file, _ in fresh))


async def insert_missing(
    connection: AsyncConnection, table: Table, rows: Iterable[Row], constants: Mapping[str, Any]
) -> None:
    """Rows with the same names. Their table may lack columns that ours has, and have others."""
    fitted = [{name: value for name, value in row.items() if name in table.c} | dict(constants) for row in rows]
    statement, values = inserting(connection, table, fitted)
    await connection.execute(statement.on_conflict_do_nothing(), values)


async def _require_chats(connection: AsyncConnection, tables: Tables, fresh: Collection[ArtifactKey]) -> None:
    """One that goes before the commit is refused by their foreign key, if they have one."""
    wanted = {chat for chat, _, _ in fresh}
    there = await connection.scalars(select(tables.chat.c.id).where(among(connection, tables.chat.c.id, wanted)))
    known = {_uuid(each) for each in there}
    unknown = frozenset(key for key in fresh if key[0] not in known)
    if unknown:
        raise UnknownChats(unknown)


async def _chats_of_messages(
    connection: AsyncConnection, tables: Tables, fresh: Iterable[Artifact]
) -> dict[MessageId, UUID | None]:
    """The chat of each message that asked, as far as they are there: an id of another chat's message is not known."""
    asking = {asking_message_id(each, text_ids=tables.text_ids) for each in fresh} - {None}
    if not asking:
        return {}
    there = await connection.execute(
        select(tables.message.c.id, tables.message.c.chat_id).where(among(connection, tables.message.c.id, asking))
    )
    return {shown: _uuid(of_chat) for shown, of_chat in there}


def _uuid(value: object) -> UUID | None:
    """Their ids of chats may be text, and then of any form."""
    if isinstance(value, UUID):
        return value
    return UUID(value) if isinstance(value, str) and is_uuid(value) else None


async def refresh(
    connection: AsyncConnection, tables: Tables, changed: Collection[MessageId], *, strict: bool
) -> list[Told]:
    """Make the messages show their artifacts as they are now, all of them.

    One whose parts are no array raises RejectRecord, or is left as it is unless `strict`.

    A message's row is locked before they are read, as a file of another partition may show in the same message; by a
    lock that suffers the foreign keys' own (`FOR NO KEY UPDATE`), else two writers of one message deadlock. So what is
    written was never overtaken by a newer state.
    """
    message = tables.message
    parts = [cast(message.c.parts, Text)] if "parts" in message.c else []
    locked = await connection.execute(
        select(message.c.id, *parts)
        .where(among(connection, message.c.id, changed))
        .order_by(message.c.id)
        .with_for_update(key_share=True)
    )
    there = {row[0]: row[-1] for row in locked}
    if not there:
        return []
    if parts:
        await _show_parts(connection, tables, there, strict=strict)
    return await _summarise(connection, tables, there)


async def _show_parts(
    connection: AsyncConnection, tables: Tables, parts: Mapping[MessageId, str | None], *, strict: bool
) -> None:
    own = tables.artifact.c
    found = await connection.execute(
        select(tables.artifact)
        .where(among(connection, own.message_id, parts))
        .order_by(own.message_id, own.tracked_at, own.file_id, own.generation)
    )
    rows = []
    for shown, group in groupby(found.mappings(), key=lambda row: row["message_id"]):
        try:
            rows.append({"id": shown, "parts": merged(parts[shown], [part(each, tables.part_type) for each in group])})
        except RejectRecord as error:
            if strict:
                raise
            log.warning("message cannot show its artifacts", message_id=str(shown), reason=str(error))
    if not rows:
        return
    statement, values = updating(connection, tables.message, rows)
    await connection.execute(statement, values)


async def _summarise(connection: AsyncConnection, tables: Tables, shown: Iterable[MessageId]) -> list[Told]:
    """Status, version and time of each message, written where it has columns for them. SQLite cannot tell them."""
    message, own = tables.message, tables.artifact.c
    rank = case({name: number for number, name in enumerate(_RANKED)}, value=own.status)
    summary = (
        select(
            own.message_id,
            own.chat_id,
            cast(func.sum(own.revision), BigInteger).label("version"),
            case(dict(enumerate(_RANKED)), value=func.min(rank)).label("status"),
            func.max(own.updated_at).label("updated_at"),
        )
        .where(among(connection, own.message_id, shown))
        .group_by(own.message_id, own.chat_id)
        .subquery()
    )
    told = summary.c.chat_id, summary.c.message_id, summary.c.version
    columns = [name for name in _SUMMARISED if name in message.c]
    given: dict[Any, Any]
    if not on_postgres(connection):
        if columns:
            given = {message.c[name]: summary.c[name] for name in columns}
            await connection.execute(update(message).where(message.c.id == summary.c.message_id).values(given))
        return []
    given = {message.c[name]: cast(summary.c[name], message.c[name].type) for name in columns}
    statement = update(message).where(message.c.id == summary.c.message_id).values(given).returning(*told)
    found = await connection.execute(statement if columns else select(*told))
    return [Told(*row) for row in found]


async def notify(connection: AsyncConnection, told: Iterable[Told]) -> None:
    """Tell who listens on `chat:<uuid>`, once the transaction is committed. SQLite has nothing of the kind."""
    rows = [
        {
            "channel": f"chat:{each.chat_id}",
            "payload": orjson.dumps({"message_id": each.message_id, "version": each.version}).decode(),
        }
        for each in told
    ]
    if rows and on_postgres(connection):
        given = relation({"channel": Text(), "payload": Text()})
        await connection.execute(select(func.pg_notify(given.c.channel, given.c.payload)), document(rows))
