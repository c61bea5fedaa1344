"""A chat database of each kind, and a stage over it."""

import asyncio

import pytest
from integration.gateway.stage import Stage

from connectors.chats.database import upgrade


@pytest.fixture(params=["sqlite", "postgres"])
def chats(request, tmp_path):
    url = (
        f"sqlite:///{tmp_path}/chats.db" if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    )
    asyncio.run(upgrade(url))
    return url


@pytest.fixture
def stage(kafka, topics, tmp_path, chats):
    made = Stage(tmp_path, kafka, topics, chats)
    yield made
    made.end()
