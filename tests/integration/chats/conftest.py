"""An upgraded database for each test."""

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import Any

import postgres
import pytest
from harness import missing
from integration.chats.theirs import EXAMPLE, PLAN, Home, make_theirs

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


@pytest.fixture(params=["sqlite", "postgres", "layout"])
def home(request, tmp_path):
    """A database for a sink: with tables of our own on each of the two kinds, and an application's on Postgres."""
    if request.param == "layout":
        url = request.getfixturevalue("postgres_database")
        make_theirs(url, "postgres")
        asyncio.run(upgrade(url, PLAN))
        return Home(url, 14, PLAN.prefix, {"layout": str(EXAMPLE), "unknown_chat": "dead-letter"})
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
        asyncio.run(upgrade(url))
        return Home(url, 12)
    url = f"sqlite:///{tmp_path}/home.db"
    asyncio.run(upgrade(url))
    return Home(url, 11)


@dataclass
class OwnPostgres:
    """A server for one test, that may be killed."""

    server: Any

    @property
    def url(self):
        return self.server.get_uri()

    def start(self):
        self.server.ensure_postgres_running()

    def kill(self):
        """The postmaster and all its children, at once and without a word."""
        import psutil  # comes with the server

        postmaster = psutil.Process(self.server.get_pid())
        everyone = [postmaster, *postmaster.children(recursive=True)]
        for each in everyone:
            os.kill(each.pid, signal.SIGKILL)
        psutil.wait_procs(everyone, 10)


@pytest.fixture
def own_postgres():
    try:
        with postgres.own() as server:
            yield OwnPostgres(server)
    except LookupError as error:
        missing(str(error))
