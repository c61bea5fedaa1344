"""A host on this machine, and sinks that copy from it."""

import asyncio
import contextlib

import pytest
from aiohttp import web
from integration.storage.support import Host

from connectors.storage.settings import StorageSettings
from connectors.storage.sink import StorageSink


@pytest.fixture
async def host():
    found = Host()
    application = web.Application()
    application.router.add_get("/{path:.*}", found.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    found.held.set()
    await runner.cleanup()


@pytest.fixture
def running(kafka, topics, host, tmp_path):
    """Starts a sink in this process."""

    @contextlib.asynccontextmanager
    async def start(**fields):
        settings = StorageSettings(
            **{
                "store_url": f"file://{tmp_path}/store", "allow_http": True,
                "allow_private_hosts": (f"127.0.0.1:{host.port}",), "session_timeout_seconds": 6,
                "retry_wait_seconds": 0.1, "retry_wait_max_seconds": 0.5, **fields,
            }
        )  # fmt: skip
        sink, stop = StorageSink(settings, kafka, topics.names), asyncio.Event()
        sink.task = task = asyncio.create_task(sink.run(stop))
        try:
            yield sink
        finally:
            stop.set()
            await asyncio.wait_for(task, 15)

    return start
