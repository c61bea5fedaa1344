"""An upgraded database for each test."""

import asyncio

import pytest

from connectors.chats.database import upgrade


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
