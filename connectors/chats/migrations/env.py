"""Alembic's entry. It runs on the connection that `database.upgrade` hands over, in one transaction."""

from alembic import context
from sqlalchemy import Connection, text

from connectors.chats.tables import Tables

_UPGRADE_LOCK = 7_263_504_412_001
"""Advisory lock of Postgres: two upgrades at once take turns."""


def run() -> None:
    connection = context.config.attributes["connection"]
    tables = context.config.attributes["tables"]
    assert isinstance(connection, Connection)
    assert isinstance(tables, Tables)
    context.configure(
        connection=connection,
        target_metadata=tables.metadata,
        version_table=tables.version_table,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
        context.run_migrations()


run()
