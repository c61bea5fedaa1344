"""A connector's parts against an upstream of our own, with short times."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from unit.upstream.fake_upstream import TOKEN, FakeUpstream, Letters

from connectors.upstream.budget import Budget
from connectors.upstream.client import UpstreamClient
from connectors.upstream.fleet import Fleet
from connectors.upstream.settings import ConnectorSettings
from connectors.upstream.shared import Shared
from schemas import Watch, utcnow
from tracing import OFF, Tracing


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as found:
        yield found


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def make_watch():
    """A watch, by default one with all the time in the world."""

    def make(file_id: str, generation: str = "one", seconds: float = 600, age: float = 0, **more: Any) -> Watch:
        now = utcnow()
        return Watch(
            file_id=file_id, generation=generation, kind="video", tracked_at=now - timedelta(seconds=age),
            deadline_at=now + timedelta(seconds=seconds), **more,
        )  # fmt: skip

    return make


@pytest.fixture
def start(upstream, letters):
    """A running fleet with the given settings: `async with start(poll_after_seconds=…) as fleet`."""

    @asynccontextmanager
    async def starting(*, tracing: Tracing = OFF, **changes: Any) -> AsyncIterator[Fleet]:
        # Times that a test does not name are out of its way.
        times = {
            "settle_seconds": 0, "poll_after_seconds": 100, "first_byte_seconds": 100, "events_seconds": 100,
            "job_seconds": 100, "bytes_seconds": 100, "backoff_seconds": 0.02, "backoff_cap_seconds": 0.05,
            "look_gap_seconds": 0, "last_look_seconds": 0.3, "connects_per_second": 1000, "requests_per_second": 5000,
            "overlap_seconds": 0.05,
        }  # fmt: skip
        settings = ConnectorSettings(base_url=upstream.url, token=TOKEN, **{**times, **changes})
        budget = Budget(settings)
        async with UpstreamClient(settings, budget) as client, asyncio.TaskGroup() as tasks:
            fleet = Fleet(Shared(settings, client, budget, letters, lambda: 0.5, tasks, tracing))
            try:
                yield fleet
            finally:
                fleet.close()

    return starting
