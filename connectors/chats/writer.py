"""One batch, one transaction.

Three guards, each for what the others cannot see:

- The offset rows. Each is moved by compare-and-set from the offset this process read up to. Where another process
  has written meanwhile the row does not match, nothing of the batch is kept, and `Fenced` is raised.
- The lanes. `artifacts` and `stored` are co-partitioned; who writes one partition number locks the rows of both
  topics. So an artifact and its copy are never written side by side, each missing the other.
- Versions. An artifact's row changes only for a higher version of the job document.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Table, bindparam, case, cast, func, select, update
from sqlalchemy import types as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.chats.rows import (
    ArtifactKey,
    Batch,
    Partition,
    Row,
    artifact_key,
    artifact_row,
    asking_message_id,
    chat_id,
    chat_rows,
    copy_row,
    derived_message_id,
    derived_message_row,
)
from connectors.chats.tables import artifact, chat, consumer_offset, message, stored_copy
from schemas import Artifact
from schemas.errors import RendercastError

_PROMISED = ("chat_id", "file_id", "generation", "message_id", "revision", "tracked_at")
"""Columns of an artifact that an update leaves alone."""
_DURABLE = {"media": artifact.c.durable_url, "thumbnail": artifact.c.durable_thumbnail_url}
_RANKED = ("processing", "pending", "completed", "error")
"""A message's status is the first of these that one of its artifacts has."""


class Fenced(RendercastError):
    """Another process has moved the offsets of these partitions. Nothing was written."""


async def read_offsets(connection: AsyncConnection, group: str, wanted: Collection[Partition]) -> dict[Partition, int]:
    """The first offset not yet in this database, of each partition; rows are made for those it does not know."""
    rows: list[Row] = [
        {"group_id": group, "topic": topic, "partition": number, "next_offset": 0} for topic, number in sorted(wanted)
    ]
    if rows:
        await connection.execute(_insert(connection, consumer_offset).on_conflict_do_nothing(), rows)
    found = await connection.execute(
        select(consumer_offset.c.topic, consumer_offset.c.partition, consumer_offset.c.next_offset)
        .where(consumer_offset.c.group_id == group)
    )  # fmt: skip
    return {(topic, number): offset for topic, number, offset in found if (topic, number) in wanted}


async def write(connection: AsyncConnection, group: str, batch: Batch) -> None:
    """Write the batch within the caller's transaction. Raises Fenced before anything else is written."""
    await _take_lanes(connection, group, {number for _, number in batch.moves})
    await _move_offsets(connection, group, batch.moves)
    if batch.copies:
        await _keep_copies(connection, batch)
    if batch.artifacts:
        await _write_artifacts(connection, batch.artifacts)
    if batch.files:
        await _add_durable_urls(connection, batch.files)
        await _refresh_messages(connection, batch.files)


def _insert(connection: AsyncConnection, table: Table) -> Any:
    """Postgres and SQLite share the words `ON CONFLICT`, but not the class that says them."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


async def _take_lanes(connection: AsyncConnection, group: str, numbers: set[int]) -> None:
    """Lock the offset rows of the partition numbers, in one order. SQLite has one writer at a time anyway."""
    await connection.execute(
        select(consumer_offset.c.partition)
        .where(consumer_offset.c.group_id == group, consumer_offset.c.partition.in_(numbers))
        .order_by(consumer_offset.c.partition, consumer_offset.c.topic)
        .with_for_update()
    )


async def _move_offsets(connection: AsyncConnection, group: str, moves: Mapping[Partition, tuple[int, int]]) -> None:
    statement = (
        update(consumer_offset)
        .where(
            consumer_offset.c.group_id == group,
            consumer_offset.c.topic == bindparam("of_topic"),
            consumer_offset.c.partition == bindparam("of_partition"),
            consumer_offset.c.next_offset == bindparam("expected"),
        )
        .values(next_offset=bindparam("reached"))
    )
    rows = [
        {"of_topic": topic, "of_partition": number, "expected": expected, "reached": reached}
        for (topic, number), (expected, reached) in moves.items()
    ]
    if (await connection.execute(statement, rows)).rowcount != len(rows):
        raise Fenced("another process has moved the offsets of one of these partitions", partitions=sorted(moves))


async def _keep_copies(connection: AsyncConnection, batch: Batch) -> None:
    statement = _insert(connection, stored_copy)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(stored_copy.primary_key),
            set_={name: statement.excluded[name] for name in copy_row(batch.copies[0])},
        ),
        [copy_row(each) for each in batch.copies],
    )


async def _write_artifacts(connection: AsyncConnection, found: Collection[Artifact]) -> None:
    await connection.execute(_insert(connection, chat).on_conflict_do_nothing(), chat_rows(found))
    shown_by = await _messages(connection, found)
    rows = [artifact_row(each, shown_by[artifact_key(each)]) for each in found]
    statement = _insert(connection, artifact)
    changes: dict[str, Any] = {name: statement.excluded[name] for name in rows[0] if name not in _PROMISED}
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(artifact.primary_key),
            set_={**changes, "revision": artifact.c.revision + 1},
            where=statement.excluded.version > artifact.c.version,
        ),
        rows,
    )


async def _messages(connection: AsyncConnection, found: Collection[Artifact]) -> dict[ArtifactKey, UUID]:
    """The message that shows each artifact: the one it has, else the one that asked, else a derived one, made here."""
    bound = await connection.execute(
        select(artifact.c.chat_id, artifact.c.file_id, artifact.c.generation, artifact.c.message_id)
        .where(artifact.c.file_id.in_({UUID(each.file_id) for each in found}))
    )  # fmt: skip
    shown_by = {(chat, file, generation): shown for chat, file, generation, shown in bound}
    asked = {asking_message_id(each) for each in found} - {None}
    there = await connection.execute(select(message.c.id, message.c.chat_id).where(message.c.id.in_(asked)))
    known = {(shown, of_chat) for shown, of_chat in there}  # an id of another chat's message is not known here
    made = []
    for each in found:
        key = artifact_key(each)
        if key in shown_by:
            continue
        asking = asking_message_id(each)
        if asking is not None and (asking, chat_id(each)) in known:
            shown_by[key] = asking
        else:
            shown_by[key] = derived_message_id(each)
            made.append(derived_message_row(each))
    if made:
        await connection.execute(_insert(connection, message).on_conflict_do_nothing(), made)
    return shown_by


async def _add_durable_urls(connection: AsyncConnection, files: Iterable[UUID]) -> None:
    """Whichever came first, artifact or copy: after this the artifact has the copy's location."""
    for role, column in _DURABLE.items():
        await connection.execute(
            update(artifact)
            .where(
                artifact.c.file_id.in_(files),
                stored_copy.c.file_id == artifact.c.file_id,
                stored_copy.c.generation == artifact.c.generation,
                stored_copy.c.role == role,
                column.is_distinct_from(stored_copy.c.location),
            )
            .values({column: stored_copy.c.location, artifact.c.revision: artifact.c.revision + 1})
        )


async def _refresh_messages(connection: AsyncConnection, files: Iterable[UUID]) -> None:
    """A message's status and version follow from its artifacts.

    Its row is locked before they are counted, as a file of another partition may show in the same message; by a lock
    that suffers the foreign keys' own (`FOR NO KEY UPDATE`), else two writers of one message deadlock.
    """
    shown = select(artifact.c.message_id).where(artifact.c.file_id.in_(files))
    locked = await connection.scalars(
        select(message.c.id).where(message.c.id.in_(shown)).order_by(message.c.id).with_for_update(key_share=True)
    )
    rank = case({name: number for number, name in enumerate(_RANKED)}, value=artifact.c.status)
    summary = (
        select(
            artifact.c.message_id,
            cast(func.sum(artifact.c.revision), sql.BigInteger).label("version"),
            func.min(rank).label("rank"),
            func.max(artifact.c.updated_at).label("updated_at"),
        )
        .where(artifact.c.message_id.in_(locked.all()))
        .group_by(artifact.c.message_id)
        .subquery()
    )
    await connection.execute(
        update(message)
        .where(message.c.id == summary.c.message_id, message.c.version != summary.c.version)
        .values(
            version=summary.c.version,
            status=case(dict(enumerate(_RANKED)), value=summary.c.rank),
            updated_at=summary.c.updated_at,
        )
    )
