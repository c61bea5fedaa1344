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

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.chats import messages
from connectors.chats.bulk import among, inserting
from connectors.chats.plan import Plan
from connectors.chats.rows import Batch, MessageId, Partition, Row, artifact_row, copy_row
from connectors.chats.tables import Tables
from schemas.errors import RendercastError

_PROMISED = ("chat_id", "file_id", "generation", "message_id", "revision", "tracked_at")
"""Columns of an artifact that an update leaves alone."""
_DURABLE = {"media": "durable_url", "thumbnail": "durable_thumbnail_url"}


class Fenced(RendercastError):
    """Another process has moved the offsets of these partitions. Nothing was written."""


async def read_offsets(
    connection: AsyncConnection, tables: Tables, group: str, wanted: Collection[Partition]
) -> dict[Partition, int]:
    """The first offset not yet in this database, of each partition; rows are made for those it does not know."""
    offsets = tables.consumer_offset
    rows: list[Row] = [
        {"group_id": group, "topic": topic, "partition": number, "next_offset": 0} for topic, number in sorted(wanted)
    ]
    if rows:
        statement, values = inserting(connection, offsets, rows)
        await connection.execute(statement.on_conflict_do_nothing(), values)
    found = await connection.execute(
        select(offsets.c.topic, offsets.c.partition, offsets.c.next_offset).where(offsets.c.group_id == group)
    )
    return {(topic, number): offset for topic, number, offset in found if (topic, number) in wanted}


async def write(connection: AsyncConnection, tables: Tables, plan: Plan, group: str, batch: Batch) -> None:
    """Write the batch within the caller's transaction.

    Raises Fenced before anything else is written; UnknownChats and RejectRecord for the transaction to be rolled back.
    """
    await _take_lanes(connection, tables, group, {number for _, number in batch.moves})
    await _move_offsets(connection, tables, group, batch.moves)
    if batch.copies:
        await _keep_copies(connection, tables, [copy_row(each) for each in batch.copies])
    changed: set[MessageId] = set()
    files = {UUID(each.file_id) for each in batch.copies}
    if batch.artifacts:
        found = await messages.find(connection, tables, batch.artifacts, stubs=plan.stubs)
        rows = [artifact_row(key, each, found.shown_by[key]) for key, each in batch.artifacts.items()]
        changed |= await _write_artifacts(connection, tables, rows)
        files |= await _copied(connection, tables, found.new_files)
    if files:
        changed |= await _add_durable_urls(connection, tables, files)
    if changed:
        # An artifact is of one chat and can be refused for it; a copy is of all the chats that show its file.
        told = await messages.refresh(connection, tables, changed, strict=bool(batch.artifacts))
        if plan.notify:
            await messages.notify(connection, told)


async def _take_lanes(connection: AsyncConnection, tables: Tables, group: str, numbers: set[int]) -> None:
    """Lock the offset rows of the partition numbers, in one order. SQLite has one writer at a time anyway."""
    offsets = tables.consumer_offset.c
    await connection.execute(
        select(offsets.partition)
        .where(offsets.group_id == group, offsets.partition.in_(numbers))
        .order_by(offsets.partition, offsets.topic)
        .with_for_update()
    )


async def _move_offsets(
    connection: AsyncConnection, tables: Tables, group: str, moves: Mapping[Partition, tuple[int, int]]
) -> None:
    offsets = tables.consumer_offset
    statement = (
        update(offsets)
        .where(
            offsets.c.group_id == group,
            offsets.c.topic == bindparam("of_topic"),
            offsets.c.partition == bindparam("of_partition"),
            offsets.c.next_offset == bindparam("expected"),
        )
        .values(next_offset=bindparam("reached"))
    )
    rows = [
        {"of_topic": topic, "of_partition": number, "expected": expected, "reached": reached}
        for (topic, number), (expected, reached) in moves.items()
    ]
    if (await connection.execute(statement, rows)).rowcount != len(rows):
        raise Fenced("another process has moved the offsets of one of these partitions", partitions=sorted(moves))


async def _keep_copies(connection: AsyncConnection, tables: Tables, rows: list[Row]) -> None:
    statement, values = inserting(connection, tables.stored_copy, rows)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(tables.stored_copy.primary_key),
            set_={name: statement.excluded[name] for name in rows[0]},
        ),
        values,
    )


async def _write_artifacts(connection: AsyncConnection, tables: Tables, rows: list[Row]) -> set[MessageId]:
    """The messages of those that were new, or had a lower version."""
    own = tables.artifact
    statement, values = inserting(connection, own, rows)
    changes: dict[str, Any] = {name: statement.excluded[name] for name in rows[0] if name not in _PROMISED}
    changed = await connection.scalars(
        statement.on_conflict_do_update(
            index_elements=list(own.primary_key),
            set_={**changes, "revision": own.c.revision + 1},
            where=statement.excluded.version > own.c.version,
        ).returning(own.c.message_id),
        values,
    )
    return set(changed)


async def _copied(connection: AsyncConnection, tables: Tables, files: Collection[UUID]) -> set[UUID]:
    """Those of the files that have a copy: few, where artifacts come before their copies."""
    if not files:
        return set()
    copy = tables.stored_copy.c
    return set(await connection.scalars(select(copy.file_id).where(among(connection, copy.file_id, files))))


async def _add_durable_urls(connection: AsyncConnection, tables: Tables, files: Iterable[UUID]) -> set[MessageId]:
    """Give these files' artifacts the locations of their copies. Whose messages have changed?

    Row by row over the copies' index: a join is at the mercy of how large the database believes the tables to be.
    """
    own, copy = tables.artifact, tables.stored_copy.c
    of_artifact = copy.file_id == own.c.file_id, copy.generation == own.c.generation
    places = {
        own.c[name]: func.coalesce(
            select(copy.location).where(*of_artifact, copy.role == role).correlate(own).scalar_subquery(), own.c[name]
        )
        for role, name in _DURABLE.items()
    }
    changes: dict[Any, Any] = {**places, own.c.revision: own.c.revision + 1}
    changed = await connection.scalars(
        update(own)
        .where(
            among(connection, own.c.file_id, files), or_(*(old.is_distinct_from(new) for old, new in places.items()))
        )
        .values(changes)
        .returning(own.c.message_id)
    )
    return set(changed)
