"""Chats, messages, artifacts, copies, offsets; beside an application's chats and messages only the last three."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables = context.config.attributes["tables"]
    prefix = tables.prefix
    _books(prefix)
    if tables.theirs:
        _artifact(prefix, sa.Text() if tables.text_ids else sa.Uuid(), [])
        return
    _chats(prefix)
    shown_in = sa.ForeignKeyConstraint(
        ["message_id", "chat_id"],
        [f"{prefix}message.id", f"{prefix}message.chat_id"],
        name=op.f(f"fk_{prefix}artifact_{prefix}message"),
        ondelete="CASCADE",
    )
    _artifact(prefix, sa.Uuid(), [shown_in])


def _chats(prefix: str) -> None:
    op.create_table(
        f"{prefix}chat",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "name", sa.Text(), nullable=True, comment="what a chat is called that has no UUID (video-generator-tool)"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{prefix}chat")),
    )
    op.create_table(
        f"{prefix}message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "file_id",
            sa.Uuid(),
            nullable=True,
            comment="with generation: what the message was made for, where no message asked",
        ),
        sa.Column("generation", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True, comment="of its artifacts together; null while it has none"),
        sa.Column(
            "version",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="grows with every change of an artifact",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", name=op.f(f"ck_{prefix}message_role")),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'error')", name=op.f(f"ck_{prefix}message_status")
        ),
        sa.CheckConstraint("(file_id IS NULL) = (generation IS NULL)", name=op.f(f"ck_{prefix}message_made_for")),
        sa.ForeignKeyConstraint(
            ["chat_id"], [f"{prefix}chat.id"], name=op.f(f"fk_{prefix}message_{prefix}chat"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{prefix}message")),
        sa.UniqueConstraint(
            "chat_id", "file_id", "generation", name=op.f(f"uq_{prefix}message_chat_id_file_id_generation")
        ),
        sa.UniqueConstraint("id", "chat_id", name=op.f(f"uq_{prefix}message_id_chat_id")),
        postgresql_with={"fillfactor": 50},
    )


def _books(prefix: str) -> None:
    op.create_table(
        f"{prefix}consumer_offset",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column(
            "next_offset", sa.BigInteger(), nullable=False, comment="the first offset that is not in this database yet"
        ),
        sa.CheckConstraint("next_offset >= 0", name=op.f(f"ck_{prefix}consumer_offset_next_offset")),
        sa.PrimaryKeyConstraint("group_id", "topic", "partition", name=op.f(f"pk_{prefix}consumer_offset")),
    )
    op.create_table(
        f"{prefix}stored_copy",
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('media', 'thumbnail')", name=op.f(f"ck_{prefix}stored_copy_role")),
        sa.PrimaryKeyConstraint("file_id", "generation", "role", name=op.f(f"pk_{prefix}stored_copy")),
        comment="kept for artifacts that come later than their copy, and for chats that are added later",
    )


def _artifact(prefix: str, message_id: sa.types.TypeEngine[Any], shown_in: list[sa.ForeignKeyConstraint]) -> None:
    op.create_table(
        f"{prefix}artifact",
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", message_id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False, comment="percent"),
        sa.Column(
            "note", sa.Text(), nullable=True, comment="the upstream's words: progress message or reason of failure"
        ),
        sa.Column("estimate_seconds", sa.Double(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True, comment="at the upstream, which deletes it some day"),
        sa.Column("thumbnail_url", sa.Text(), nullable=True),
        sa.Column("durable_url", sa.Text(), nullable=True, comment="our copy"),
        sa.Column("durable_thumbnail_url", sa.Text(), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column(
            "version",
            sa.BigInteger(),
            nullable=False,
            comment="of the job document; a lower one never replaces a higher",
        ),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="changes of this row, durable URLs included"),
        sa.Column("tracked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('image', 'video', 'audio', 'other')", name=op.f(f"ck_{prefix}artifact_kind")),
        sa.CheckConstraint(
            "outcome IN ('completed', 'failed', 'timed_out', 'cancelled', 'superseded')",
            name=op.f(f"ck_{prefix}artifact_outcome"),
        ),
        sa.CheckConstraint(
            "reason IN ('upstream', 'timed_out', 'cancelled', 'superseded')", name=op.f(f"ck_{prefix}artifact_reason")
        ),
        sa.CheckConstraint(
            "status <> 'completed' OR url IS NOT NULL", name=op.f(f"ck_{prefix}artifact_completed_has_url")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'error')", name=op.f(f"ck_{prefix}artifact_status")
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f(f"ck_{prefix}artifact_progress")),
        *shown_in,
        sa.PrimaryKeyConstraint("file_id", "generation", "chat_id", name=op.f(f"pk_{prefix}artifact")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(op.f(f"ix_{prefix}artifact_message_id"), f"{prefix}artifact", ["message_id"], unique=False)


def downgrade() -> None:
    tables = context.config.attributes["tables"]
    own = ("artifact", "stored_copy", "consumer_offset")
    for table in own if tables.theirs else ("artifact", "message", "stored_copy", "consumer_offset", "chat"):
        op.drop_table(tables.prefix + table)
