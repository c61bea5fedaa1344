"""Metrics that no event moves."""

import asyncio
import uuid

import pytest
from unit.upstream.fake_upstream import until

from connectors.upstream import fleet as room
from connectors.upstream import metrics


async def test_polls_that_a_live_stream_saves_are_counted_and_the_oldest_watch_is_told(
    start, upstream, letters, make_watch, monkeypatch
):
    monkeypatch.setattr(room, "MEASURE_SECONDS", 0.05)
    before = metrics.POLLS_SAVED._value.get()
    async with start(poll_steps_seconds=(0.1,)) as fleet:
        measuring = asyncio.create_task(fleet.measure())
        await asyncio.sleep(0.1)
        assert metrics.POLLS_SAVED._value.get() == before
        assert metrics.OLDEST_SECONDS._value.get() == 0
        for age in (5, 70):
            fleet.put(make_watch(str(uuid.uuid4()), age=age))
        await until(lambda: metrics.POLLS_SAVED._value.get() >= before + 2)
        assert metrics.OLDEST_SECONDS._value.get() == pytest.approx(70, abs=30)
        measuring.cancel()
