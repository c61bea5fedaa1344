"""Turns: what was asked to be generated inside a chat, once for each key."""

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables = context.config.attributes["tables"]
    prefix = tables.prefix
    message_id = sa.Text() if tables.text_ids else sa.Uuid()
    op.create_table(
        f"{prefix}turn",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False, comment="the caller's, for the same request sent again"),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the request"),
        sa.Column("attempt", sa.Uuid(), nullable=False, comment="another one after each that was refused"),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("user_message_id", message_id, nullable=False),
        sa.Column("message_id", message_id, nullable=False, comment="the message that answers"),
        sa.Column("request_id", sa.Text(), nullable=False, comment="the generation of its artifacts"),
        sa.Column("request", sa.Text(), nullable=False, comment="JSON: what has to be known to follow its files later"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False, comment="JSON: what the upstream has begun"),
        sa.Column("problem", sa.Text(), nullable=True, comment="JSON: why it has not"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('asked', 'begun', 'followed', 'refused', 'unsure')", name=op.f(f"ck_{prefix}turn_state")
        ),
        sa.PrimaryKeyConstraint("subject", "request_key", name=op.f(f"pk_{prefix}turn")),
        sa.UniqueConstraint("message_id", name=op.f(f"uq_{prefix}turn_message_id")),
    )


def downgrade() -> None:
    op.drop_table(context.config.attributes["tables"].prefix + "turn")
