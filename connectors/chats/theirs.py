"""An application's own chat and message tables, as a layout names them and as the database has them.

They are only looked at here. What does not fit is told before anything is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    CHAR,
    JSON,
    Column,
    Connection,
    DateTime,
    Dialect,
    Enum,
    Inspector,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    inspect,
)
from sqlalchemy.types import TypeEngine

from connectors.chats.layout import ChatTable, Layout, MessageTable
from connectors.chats.plan import Plan
from connectors.chats.tables import Tables, UtcDateTime, own_tables, tables_beside
from schemas.errors import StopProcess

_UUID_IN_HEX = 32
_FITTING: dict[str, tuple[tuple[type[TypeEngine[Any]], ...], str]] = {
    **dict.fromkeys(("id", "chat_id"), ((Uuid, String), "uuid or text")),
    **dict.fromkeys(("created_at", "updated_at"), ((DateTime, String), "a timestamp or text")),
    **dict.fromkeys(("role", "status"), ((String, Enum), "text")),
    "version": ((Integer, Numeric), "a number"),
    "parts": ((JSON, String), "json, jsonb or text"),
}
"""What a column of each of our names may be."""


class AnyText(TypeDecorator[Any]):
    """A column of text that takes ids, times and JSON, too."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        match value:
            case None | str():
                return value
            case UUID():
                return str(value)
            case datetime():
                return value.isoformat()
            case _:
                return orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class Adapted:
    """The tables, where nothing is in the way of using them."""

    tables: Tables | None
    misfits: tuple[str, ...]

    def require(self, name: str) -> Tables:
        """Raises StopProcess where something does not fit; `name` is the database's."""
        if self.tables is None:
            raise StopProcess(f"{name} does not fit the layout: {'; '.join(self.misfits)}")
        return self.tables


def adapt(connection: Connection, plan: Plan) -> Adapted:
    """The tables of the plan. With a layout, by looking at what is there."""
    if plan.layout is None:
        return Adapted(own_tables(plan.prefix), ())
    inspector = inspect(connection)
    seen = {name: _Seen.of(inspector, table) for name, table in plan.layout.tables()}
    misfits = [line for name, each in seen.items() for line in each.misfits(makes_rows=name == "message" or plan.stubs)]
    if misfits:
        return Adapted(None, tuple(misfits))
    tables = _tables(plan, plan.layout, seen)
    misfits = list(_misfits_of_ours(inspector, tables))
    return Adapted(None if misfits else tables, tuple(misfits))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One of their tables, as it is named and as it is."""

    named: ChatTable | MessageTable
    columns: Mapping[str, Any]
    unique: tuple[tuple[str, ...], ...]
    sqlite: bool

    @classmethod
    def of(cls, inspector: Inspector, named: ChatTable | MessageTable) -> "_Seen":
        place = named.table, named.db_schema
        sqlite = inspector.dialect.name == "sqlite"
        if not inspector.has_table(*place):
            return cls(named, {}, (), sqlite)
        columns = {each["name"]: each for each in inspector.get_columns(*place)}
        sets: list[list[Any]] = [inspector.get_pk_constraint(*place)["constrained_columns"]]
        sets += [each["column_names"] for each in inspector.get_unique_constraints(*place)]
        sets += [each["column_names"] for each in inspector.get_indexes(*place) if each["unique"]]
        return cls(named, columns, tuple(tuple(map(str, each)) for each in sets), sqlite)

    def misfits(self, *, makes_rows: bool) -> Iterator[str]:
        name = self.named.table
        if not self.columns:
            yield f"there is no table {name}"
            return
        ours = self.named.columns()
        for column in [*ours.values(), *self.named.constants]:
            if column not in self.columns:
                yield f"{name} has no column {column}"
        for role, column in ours.items():
            kinds, expected = _FITTING[role]
            kind = self.columns[column]["type"] if column in self.columns else None
            if kind is not None and not isinstance(kind, kinds):
                yield f"{name}.{column} is {kind}: expected {expected}"
            elif kind is not None:
                yield from self._unwritable(role, column, kind)
        if self.named.id in self.columns and (self.named.id,) not in self.unique:
            yield f"{name}.{self.named.id} is not unique"
        if makes_rows:
            for column in self._unfilled():
                yield f"{name}.{column} is NOT NULL and has no default: give it a constant" + (
                    " or set RENDERCAST_CHATS__UNKNOWN_CHAT=dead-letter" if isinstance(self.named, ChatTable) else ""
                )

    def _unwritable(self, role: str, column: str, kind: TypeEngine[Any]) -> Iterator[str]:
        """What would fail at the first row only."""
        place = f"{self.named.table}.{column}"
        if "computed" in self.columns[column]:
            yield f"{place} is generated: nobody can write to it"
        if role in ("id", "chat_id") and isinstance(kind, String):
            if isinstance(kind, CHAR) and not self.sqlite:
                yield f"{place} is {kind}, which pads what is written: expected uuid, text or varchar"
            elif kind.length is not None and kind.length < _UUID_IN_HEX:
                yield f"{place} is {kind}: a UUID has 36 characters"
        if role == "role" and isinstance(kind, Enum) and isinstance(self.named, MessageTable):
            assistant = self.named.assistant
            if assistant not in kind.enums:
                yield f"{place} knows {', '.join(map(str, kind.enums))}, and no {assistant} (assistant in the layout)"

    def _unfilled(self) -> Iterator[str]:
        filled = {*self.named.columns().values(), *self.named.constants}
        for name, column in self.columns.items():
            made = column["default"] is not None or "identity" in column or "computed" in column
            if not column["nullable"] and not made and name not in filled:
                yield name

    def kind(self, column: str) -> TypeEngine[Any]:
        """How we write to it. Postgres is given JSON and reads it by its own type; SQLite takes what we bind."""
        found: TypeEngine[Any] = self.columns[column]["type"]
        if isinstance(found, CHAR) and found.length == _UUID_IN_HEX:
            return Uuid()  # SQLAlchemy's own, where a database has no type for it
        if self.sqlite and isinstance(found, DateTime):
            return UtcDateTime()
        if isinstance(found, String) and not isinstance(found, Enum):
            return AnyText()
        return AnyText() if self.sqlite and isinstance(found, JSON) else found

    def table(self) -> tuple[Table, dict[str, Any]]:
        """The table under our names, and the constants under names of their own."""
        constants = {f"constant.{name}": value for name, value in self.named.constants.items()}
        names = {**self.named.columns(), **{f"constant.{name}": name for name in self.named.constants}}
        columns = [Column(column, self.kind(column), key=key) for key, column in names.items()]
        return Table(self.named.table, MetaData(), *columns, schema=self.named.db_schema), constants


def _tables(plan: Plan, layout: Layout, seen: Mapping[str, _Seen]) -> Tables:
    chat, chat_constants = seen["chat"].table()
    message, message_constants = seen["message"].table()
    return tables_beside(
        plan.prefix, chat, message, text_ids=not isinstance(message.c.id.type, Uuid),
        assistant=layout.message.assistant, part_type=layout.message.part_type,
        chat_constants=chat_constants, message_constants=message_constants,
    )  # fmt: skip


def _misfits_of_ours(inspector: Inspector, tables: Tables) -> Iterator[str]:
    """Our tables in that database, where they are there already, may be those of another mode."""
    name = tables.artifact.name
    if not inspector.has_table(name):
        return
    if inspector.get_foreign_keys(name):
        yield f"{name} was made for chats of our own: choose another RENDERCAST_CHATS__TABLE_PREFIX"
        return
    found = {each["name"]: each["type"] for each in inspector.get_columns(name)}.get("message_id")
    hexadecimal = isinstance(found, CHAR) and found.length == _UUID_IN_HEX
    if found is not None and tables.text_ids == (isinstance(found, Uuid) or hexadecimal):
        yield f"{name}.message_id is {found}, but the ids of messages are of another type by now"
