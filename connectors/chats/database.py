"""Engines, the schema's revision, and the database's errors in our words."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from connectors.chats.plan import OWN, Plan
from connectors.chats.tables import version_table
from connectors.chats.theirs import Adapted, adapt
from schemas.errors import RejectRecord, RetryLater, StopProcess

_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite+aiosqlite"}
_CONNECT_SECONDS = 5
_FROZEN_SECONDS = 15
"""A frozen process must not hold the rows of its partitions: Postgres ends its transaction after this."""

_NEEDS_OPERATOR = ("28", "3D", "42")
"""SQLSTATE classes: not authorised, no such database, no such table or no right to it."""
_REFUSES_DATA = ("22", "23")
"""SQLSTATE classes: data exception, integrity constraint violation."""
_WORDS_NEED_OPERATOR = (
    "no such table", "no such column", "file is not a database",  # SQLite has no SQLSTATE
    "password authentication failed", "no pg_hba.conf entry", "invalid connection option",
)  # fmt: skip
_ALEMBIC = threading.Lock()
"""Alembic keeps the migration in hand in module globals: one at a time in a process."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """Where a database's schema stands and where this release needs it."""

    current: str | None
    expected: str

    @property
    def match(self) -> bool:
        return self.current == self.expected


@dataclass(frozen=True, slots=True)
class Look:
    """A database as it was found."""

    revisions: Revisions
    adapted: Adapted


def database_url(text: str) -> URL:
    """The URL with the driver we use. Raises StopProcess, without repeating a password, for one that is none."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise StopProcess("not a database URL (postgresql://user:password@host/name or sqlite:///path)") from error
    driver = _DRIVERS.get(url.drivername, url.drivername)
    if driver not in _DRIVERS.values():
        raise StopProcess(f"no driver for {url.drivername}: the URL begins with postgresql:// or sqlite:///")
    return url.set(drivername=driver)


def make_engine(text: str, connections: int = 1) -> AsyncEngine:
    """An engine of so many connections: a sink writes one transaction at a time. Connects when it is used."""
    url = database_url(text)
    options: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_timeout": _CONNECT_SECONDS}
    try:
        if url.drivername.startswith("sqlite"):
            engine = create_async_engine(url, connect_args={"timeout": _CONNECT_SECONDS}, **options)
            _teach_sqlite(engine.sync_engine)
            return engine
        own = url.query.get("options", "")  # such as a search_path: it stands beside ours
        server = f"{own} -c idle_in_transaction_session_timeout={_FROZEN_SECONDS}s -c timezone=UTC".strip()
        connect = {"connect_timeout": _CONNECT_SECONDS, "application_name": "rendercast-chats", "options": server}
        return create_async_engine(url, pool_pre_ping=True, connect_args=connect, **options)
    except (NoSuchModuleError, ImportError) as error:
        raise StopProcess(f"the database driver cannot be loaded: {error}") from error


def _teach_sqlite(engine: Engine) -> None:
    """Foreign keys, a journal that readers do not block on, and transactions that take the write lock at once.

    Python's sqlite3 would begin them by itself, and late: two writers that have both read then deadlock.
    """

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turns the errors of the database called `name` into RetryLater, RejectRecord or StopProcess.

    RejectRecord means that the data is at fault, not which record of a batch carries it.
    """
    try:
        yield
    except DBAPIError as error:
        words = f"{name}: {_words(error)}"
        state = getattr(error.orig, "sqlstate", None) or ""
        if _refuses_data(error, state):
            raise RejectRecord("refused_by_database", words) from error
        if state.startswith(_NEEDS_OPERATOR) or any(each in words for each in _WORDS_NEED_OPERATOR):
            raise StopProcess(words) from error
        raise RetryLater(words) from error
    except (OverflowError, UnicodeError) as error:  # drivers raise these of a value before the database sees it
        raise RejectRecord("refused_by_database", f"{name}: {error}") from error
    except (PoolTimeoutError, TimeoutError, OSError) as error:
        raise RetryLater(f"{name} does not answer: {str(error) or 'no answer in time'}") from error


def _refuses_data(error: DBAPIError, state: str) -> bool:
    if error.connection_invalidated:
        return False
    return state.startswith(_REFUSES_DATA) or type(error).__name__ in ("DataError", "IntegrityError")


def _words(error: DBAPIError) -> str:
    """The driver's first line: the rest repeats the statement and its values, which are the users'."""
    return str(error.orig).strip().partition("\n")[0]


async def upgrade(url: str, plan: Plan = OWN) -> Revisions:
    """Bring the schema to this release's revision. Two at once take turns; at the newest it does nothing.

    Raises RetryLater when the database is away, StopProcess when it lets nobody in or does not fit the layout.
    """
    with translated("the database"):
        await asyncio.to_thread(_upgrade, database_url(url), plan)
    return (await check(url, plan)).revisions


async def check(url: str, plan: Plan = OWN) -> Look:
    """How the database is. Raises RetryLater when the database is away, StopProcess when it lets nobody in."""
    engine = make_engine(url)
    try:
        return await look(engine, "the database", plan)
    finally:
        await engine.dispose()


async def look(engine: AsyncEngine, name: str, plan: Plan) -> Look:
    """As `check`, over an engine that is there; `name` is what errors call the database."""
    versions = {"version_table": version_table(plan.prefix)}

    def found(sync: Connection) -> tuple[str | None, Adapted]:
        return MigrationContext.configure(sync, opts=versions).get_current_revision(), adapt(sync, plan)

    with translated(name):
        async with engine.connect() as connection:
            current, adapted = await connection.run_sync(found)
    expected = ScriptDirectory.from_config(_config()).get_current_head()
    assert expected is not None
    return Look(Revisions(current, expected), adapted)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def _upgrade(url: URL, plan: Plan) -> None:
    engine = create_engine(url.set(drivername=url.drivername.removesuffix("+aiosqlite")))
    if engine.dialect.name == "sqlite":
        _teach_sqlite(engine)
    try:
        with _ALEMBIC, engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            config.attributes["tables"] = adapt(connection, plan).require("the database")
            command.upgrade(config, "head")
    finally:
        engine.dispose()
