"""The tables. What the sink promises stands here as constraints, so that no other writer can break it either.

- one row of `artifact` per chat, file and generation: its primary key
- one message per chat, file and generation, where no message asked: a unique constraint
- an artifact's message is of the artifact's chat: a foreign key over both columns
- a completed artifact has a URL; statuses, kinds and roles are known ones: check constraints
- one turn per subject and key, and per message that answers: primary key, unique constraint

Beside an application's own chats and messages (`theirs.py`) all but the foreign key hold; that an artifact's message
is of its chat is then what the writer sees to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.types import TypeEngine

from schemas.base import Kind
from schemas.jobs import Outcome, Reason, Status
from schemas.outputs import Role


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite has no zones: what it keeps is UTC by agreement."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.replace(tzinfo=UTC)


TurnState = Literal["asked", "begun", "followed", "refused", "unsure"]

_ROOM = {"fillfactor": 50}
"""Postgres: rows that change often find room for it in their page, and their indexes need no change."""


def _one_of(column: str, names: object, name: str) -> CheckConstraint:
    listed = ", ".join(f"'{each}'" for each in get_args(names))
    return CheckConstraint(f"{column} IN ({listed})", name=name)


_NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one database. Columns go by our names (`message.c.chat_id`), whatever the database calls them.

    Where chats and messages are the application's, `theirs` is true and their optional columns may be missing.
    """

    prefix: str
    chat: Table
    message: Table
    artifact: Table
    stored_copy: Table
    consumer_offset: Table
    turn: Table
    theirs: bool = False
    text_ids: bool = False
    """Whether messages have ids of any text; else they are UUIDs."""
    assistant: str = "assistant"
    part_type: str = ""
    chat_constants: Mapping[str, Any] = field(default_factory=dict)
    message_constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> MetaData:
        """Of what is ours."""
        return self.artifact.metadata

    @property
    def version_table(self) -> str:
        return version_table(self.prefix)


def version_table(prefix: str) -> str:
    """Where Alembic keeps the revision of our schema."""
    return f"{prefix}alembic_version"


def own_tables(prefix: str) -> Tables:
    """Chats and messages are ours, too."""
    metadata = MetaData(naming_convention=_NAMING)
    chat = _chat(metadata, prefix)
    message = _message(metadata, prefix)
    return Tables(prefix, chat, message, *_books(metadata, prefix, Uuid(), message))


def tables_beside(prefix: str, chat: Table, message: Table, **told: Any) -> Tables:
    """Chats and messages are the application's: nothing of ours refers to them."""
    books = _books(MetaData(naming_convention=_NAMING), prefix, Text() if told["text_ids"] else Uuid(), None)
    return Tables(prefix, chat, message, *books, theirs=True, **told)


def _books(
    metadata: MetaData, prefix: str, message_id: TypeEngine[Any], message: Table | None
) -> tuple[Table, Table, Table, Table]:
    return (
        _artifact(metadata, prefix, message_id, message),
        _stored_copy(metadata, prefix),
        _consumer_offset(metadata, prefix),
        _turn(metadata, prefix, message_id),
    )


def _chat(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}chat",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("name", Text, comment="what a chat is called that has no UUID (video-generator-tool)"),
        Column("created_at", UtcDateTime, nullable=False),
    )


def _message(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}message",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("chat_id", Uuid, ForeignKey(f"{prefix}chat.id", ondelete="CASCADE"), nullable=False),
        Column("role", Text, nullable=False),
        Column("content", Text, nullable=False, server_default=""),
        Column("file_id", Uuid, comment="with generation: what the message was made for, where no message asked"),
        Column("generation", Text),
        Column("status", Text, comment="of its artifacts together; null while it has none"),
        Column(
            "version", BigInteger, nullable=False, server_default="0", comment="grows with every change of an artifact"
        ),
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
        UniqueConstraint("id", "chat_id"),
        UniqueConstraint("chat_id", "file_id", "generation"),
        CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", name="role"),
        _one_of("status", Status, "status"),
        CheckConstraint("(file_id IS NULL) = (generation IS NULL)", name="made_for"),
        postgresql_with=_ROOM,
    )


def _artifact(metadata: MetaData, prefix: str, message_id: TypeEngine[Any], message: Table | None) -> Table:
    shown_in = [
        ForeignKeyConstraint(["message_id", "chat_id"], [each.c.id, each.c.chat_id], ondelete="CASCADE")
        for each in (message,)
        if each is not None
    ]
    return Table(
        f"{prefix}artifact",
        metadata,
        Column("file_id", Uuid, primary_key=True),
        Column("generation", Text, primary_key=True),
        Column("chat_id", Uuid, primary_key=True),
        Column("message_id", message_id, nullable=False),
        Column("kind", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("progress", Double, nullable=False, comment="percent"),
        Column("note", Text, comment="the upstream's words: progress message or reason of failure"),
        Column("estimate_seconds", Double),
        Column("outcome", Text),
        Column("reason", Text),
        Column("late", Boolean, nullable=False),
        Column("url", Text, comment="at the upstream, which deletes it some day"),
        Column("thumbnail_url", Text),
        Column("durable_url", Text, comment="our copy"),
        Column("durable_thumbnail_url", Text),
        Column("project_id", Text),
        Column("user_id", Text),
        Column("prompt", Text),
        Column(
            "version", BigInteger, nullable=False, comment="of the job document; a lower one never replaces a higher"
        ),
        Column("revision", BigInteger, nullable=False, comment="changes of this row, durable URLs included"),
        Column("tracked_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
        Column("finished_at", UtcDateTime),
        *shown_in,
        _one_of("kind", Kind, "kind"),
        _one_of("status", Status, "status"),
        _one_of("outcome", Outcome, "outcome"),
        _one_of("reason", Reason, "reason"),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint("status <> 'completed' OR url IS NOT NULL", name="completed_has_url"),
        Index(None, "message_id"),
        postgresql_with=_ROOM,
    )


def _stored_copy(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}stored_copy",
        metadata,
        Column("file_id", Uuid, primary_key=True),
        Column("generation", Text, primary_key=True),
        Column("role", Text, primary_key=True),
        Column("location", Text, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("content_type", Text, nullable=False),
        Column("stored_at", UtcDateTime, nullable=False),
        _one_of("role", Role, "role"),
        comment="kept for artifacts that come later than their copy, and for chats that are added later",
    )


def _consumer_offset(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}consumer_offset",
        metadata,
        Column("group_id", Text, primary_key=True),
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("next_offset", BigInteger, nullable=False, comment="the first offset that is not in this database yet"),
        CheckConstraint("next_offset >= 0", name="next_offset"),
    )


def _turn(metadata: MetaData, prefix: str, message_id: TypeEngine[Any]) -> Table:
    """No foreign keys: what was asked once is not asked again, even when its messages are deleted."""
    return Table(
        f"{prefix}turn",
        metadata,
        Column("subject", Text, primary_key=True),
        Column("request_key", Text, primary_key=True, comment="the caller's, for the same request sent again"),
        Column("digest", Text, nullable=False, comment="of the request"),
        Column("attempt", Uuid, nullable=False, comment="another one after each that was refused"),
        Column("chat_id", Uuid, comment="null, as both messages, for a request outside a chat"),
        Column("user_message_id", message_id),
        Column("message_id", message_id, comment="the message that answers"),
        Column("request_id", Text, nullable=False, comment="the generation of its artifacts"),
        Column("request", Text, nullable=False, comment="JSON: what has to be known to follow its files later"),
        Column("state", Text, nullable=False),
        Column("files", Text, nullable=False, comment="JSON: what the upstream has begun"),
        Column("problem", Text, comment="JSON: why it has not"),
        Column("asked_at", UtcDateTime, nullable=False),
        _one_of("state", TurnState, "state"),
        UniqueConstraint("message_id"),
        Index(None, "asked_at"),
    )


OWN_TABLES = own_tables("")
"""As they are without any setting."""
