"""Turns without messages: what was asked to be generated outside a chat; and an index, to forget the old ones."""

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ("chat_id", "user_message_id", "message_id")


def upgrade() -> None:
    table = context.config.attributes["tables"].prefix + "turn"
    with op.batch_alter_table(table) as turn:  # SQLite has to make the table anew
        for name in _COLUMNS:
            turn.alter_column(name, nullable=True)
        turn.alter_column("chat_id", comment="null, as both messages, for a request outside a chat")
    op.create_index(op.f(f"ix_{table}_asked_at"), table, ["asked_at"])


def downgrade() -> None:
    table = context.config.attributes["tables"].prefix + "turn"
    op.drop_index(op.f(f"ix_{table}_asked_at"), table)
    op.execute(sa.delete(sa.table(table)).where(sa.column("message_id").is_(None)))
    with op.batch_alter_table(table) as turn:
        turn.alter_column("chat_id", comment=None)
        for name in _COLUMNS:
            turn.alter_column(name, nullable=False)
