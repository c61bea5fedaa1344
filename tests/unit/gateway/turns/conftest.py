import asyncio
import shutil

import pytest
from unit.gateway.turns.site import Site

from connectors.chats.database import upgrade


@pytest.fixture(scope="session")
def upgraded(tmp_path_factory):
    """A database with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("chats") / "chats.db"
    asyncio.run(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def site(upgraded, tmp_path):
    shutil.copy(upgraded, tmp_path / "chats.db")
    found = Site(f"sqlite:///{tmp_path}/chats.db")
    yield found
    await found.end()


@pytest.fixture
async def stand(site):
    return await site.gateway()
