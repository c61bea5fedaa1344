"""A real Kafka and a real Postgres for every test that asks for one."""

import asyncio
import os
import uuid
from collections.abc import Iterator

import postgres
import pytest
from harness import missing, require_java

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
        missing(str(error))


@pytest.fixture(scope="session")
def own_broker() -> None:
    """For tests that kill a broker of their own."""
    require_java()


@pytest.fixture
def topics(kafka: KafkaSettings) -> Iterator[TopicSettings]:
    """All topics under a prefix of this test's own, with two partitions; deleted afterwards."""
    settings = TopicSettings(prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=2)
    asyncio.run(admin.apply(kafka, settings))
    yield settings
    asyncio.run(admin.delete(kafka, settings))


@pytest.fixture(scope="session")
def postgres_url():
    """A server. A machine without one fails in CI; elsewhere the tests are skipped, loudly."""
    try:
        with postgres.server() as url:
            yield url
    except LookupError as error:
        missing(str(error))


@pytest.fixture
def postgres_database(postgres_url):
    """An empty database on that server, dropped afterwards."""
    with postgres.database(postgres_url) as url:
        yield url
