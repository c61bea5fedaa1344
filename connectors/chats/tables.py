"""The tables. What the sink promises stands here as constraints, so that no other writer can break it either.

- one row of `artifact` per chat, file and generation: its primary key
- one message per chat, file and generation, where no message asked: a unique constraint
- an artifact's message is of the artifact's chat: a foreign key over both columns
- a completed artifact has a URL; statuses, kinds and roles are known ones: check constraints
"""

from datetime import UTC, datetime
from typing import get_args

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


def _one_of(column: str, names: object, name: str) -> CheckConstraint:
    listed = ", ".join(f"'{each}'" for each in get_args(names))
    return CheckConstraint(f"{column} IN ({listed})", name=name)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

chat = Table(
    "chat",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, comment="what a chat is called that has no UUID (video-generator-tool)"),
    Column("created_at", UtcDateTime, nullable=False),
)

message = Table(
    "message",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("chat_id", Uuid, ForeignKey("chat.id", ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False, server_default=""),
    Column("file_id", Uuid, comment="with generation: what the message was made for, where no message asked"),
    Column("generation", Text),
    Column("status", Text, comment="of its artifacts together; null while it has none"),
    Column("version", BigInteger, nullable=False, server_default="0", comment="grows with every change of an artifact"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("id", "chat_id"),
    UniqueConstraint("chat_id", "file_id", "generation"),
    CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", name="role"),
    _one_of("status", Status, "status"),
    CheckConstraint("(file_id IS NULL) = (generation IS NULL)", name="made_for"),
    Index(None, "chat_id"),
)

artifact = Table(
    "artifact",
    metadata,
    Column("chat_id", Uuid, primary_key=True),
    Column("file_id", Uuid, primary_key=True),
    Column("generation", Text, primary_key=True),
    Column("message_id", Uuid, nullable=False),
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
    Column("version", BigInteger, nullable=False, comment="of the job document; a lower one never replaces a higher"),
    Column("revision", BigInteger, nullable=False, comment="changes of this row, durable URLs included"),
    Column("tracked_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    ForeignKeyConstraint(["message_id", "chat_id"], ["message.id", "message.chat_id"], ondelete="CASCADE"),
    _one_of("kind", Kind, "kind"),
    _one_of("status", Status, "status"),
    _one_of("outcome", Outcome, "outcome"),
    _one_of("reason", Reason, "reason"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
    CheckConstraint("status <> 'completed' OR url IS NOT NULL", name="completed_has_url"),
    Index(None, "file_id", "generation"),
    Index(None, "message_id"),
)

stored_copy = Table(
    "stored_copy",
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

consumer_offset = Table(
    "consumer_offset",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False, comment="the first offset that is not in this database yet"),
    CheckConstraint("next_offset >= 0", name="next_offset"),
)
