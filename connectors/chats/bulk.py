"""Many rows, one statement.

Postgres takes the rows as one JSON document and makes a relation of it, which costs a third of a statement per row;
SQLite is in this process and takes them one by one. Keys of rows are the tables' names of their columns.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import orjson
from sqlalchemy import (
    JSON,
    ColumnElement,
    Table,
    Text,
    Update,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from connectors.chats.rows import Row
from schemas.errors import RejectRecord

Values: TypeAlias = "dict[str, Any] | list[Row]"


def on_postgres(connection: AsyncConnection) -> bool:
    """SQLite otherwise."""
    return connection.dialect.name == "postgresql"


def inserting(connection: AsyncConnection, table: Table, rows: list[Row]) -> tuple[Any, Values]:
    """An INSERT of the rows, of which there is one at least, and what to execute it with.

    Postgres and SQLite share the words `ON CONFLICT`, but not the class that says them.
    """
    if not on_postgres(connection):
        return sqlite.insert(table), rows
    given = relation({name: table.c[name].type for name in rows[0]})
    return postgresql.insert(table).from_select([table.c[name] for name in rows[0]], select(given)), document(rows)


def updating(connection: AsyncConnection, table: Table, rows: list[Row]) -> tuple[Update, Values]:
    """An UPDATE of the rows, found by `id`. A JSON column is given as text."""
    if not on_postgres(connection):
        return update(table).where(table.c.id == bindparam("of_id")), [
            {"of_id" if name == "id" else name: value for name, value in row.items()} for row in rows
        ]
    kinds = {name: table.c[name].type for name in rows[0]}
    given = relation({name: Text() if isinstance(kind, JSON) else kind for name, kind in kinds.items()})
    changes: dict[Any, Any] = {table.c[name]: cast(given.c[name], kinds[name]) for name in rows[0] if name != "id"}
    return update(table).where(table.c.id == given.c.id).values(changes), document(rows)


def relation(kinds: dict[str, TypeEngine[Any]]) -> Any:
    """The rows of a `document` as a relation, on Postgres."""
    rows = cast(bindparam("document", type_=Text), JSON)
    columns = [column(name, kind) for name, kind in kinds.items()]
    return func.json_to_recordset(rows).table_valued(*columns).render_derived(name="given", with_types=True)


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Raises RejectRecord where a value is in no JSON: an integer of more than 64 bits, half a surrogate pair."""
    try:
        return {"document": orjson.dumps(rows).decode()}
    except orjson.JSONEncodeError as error:
        raise RejectRecord("refused_by_database", f"a value that no column takes: {error}") from error


def among(connection: AsyncConnection, place: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """`place IN values`. On Postgres as one document, too: a list of 500 parameters is 500 to be parsed, each time."""
    if not on_postgres(connection):
        return place.in_(list(values))
    listed = cast(literal(orjson.dumps(list(values)).decode(), Text), JSON)
    return place == any_(func.array(select(cast(func.json_array_elements_text(listed), place.type)).scalar_subquery()))
