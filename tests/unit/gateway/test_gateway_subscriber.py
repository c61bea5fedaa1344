"""The queue of one reader: in order, bounded, and no outcome is ever skipped."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.gateway.shown import ShownJob
from connectors.gateway.subscriber import Subscriber
from connectors.gateway.view import View


@pytest.fixture
def change(job, now):
    view = View(1000, timedelta(days=1))
    offset = iter(range(1000))

    def change(number=1, **fields):
        public = ShownJob.model_validate(job(number, **fields).model_dump())
        return view.apply(0, next(offset), public.file_id, public, now)

    return change


def test_a_reader_that_keeps_up_gets_every_change(change):
    reader = Subscriber(("all",), bound=8)
    changes = [change(progress=step) for step in range(3)]
    for each in changes:
        reader.offer(each)
    assert reader.take() == changes
    assert reader.take() == []


def test_from_half_the_bound_on_only_the_last_progress_of_a_job_waits(change):
    reader = Subscriber(("all",), bound=8)
    changes = [change(progress=step) for step in range(100)]
    for each in changes:
        reader.offer(each)
    assert reader.ended is None
    assert reader.take() == [*changes[:3], changes[-1]]


def test_coalescing_keeps_the_order_of_what_is_left(change):
    reader = Subscriber(("all",), bound=4)
    first, other, last = change(1, progress=1), change(2), change(1, progress=2)
    for each in (first, other, last):
        reader.offer(each)
    assert reader.take() == [other, last]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"outcome": "completed"}, {"generation": "g2"}),
        ({"outcome": "timed_out"}, {"outcome": "completed", "late": True}),
        ({"outcome": "completed"}, None),
    ],
    ids=["a new generation", "a late result", "forgetting"],
)
def test_no_outcome_is_skipped_for(change, now, older, newer):
    reader = Subscriber(("all",), bound=2)
    ended = change(**older)
    forgotten = replace(ended, seq=ended.seq + 1, offset=ended.offset + 1, body=None)
    after = change(**newer) if newer else forgotten
    reader.offer(ended)
    reader.offer(after)
    assert reader.take() == [ended, after]


def test_at_the_bound_the_reader_is_slow_and_nothing_waits_any_longer(change):
    reader = Subscriber(("all",), bound=3)
    for number in range(4):
        reader.offer(change(number))
    assert reader.ended == "slow"
    assert reader.take() == []
    reader.offer(change(9))
    assert reader.take() == []


def test_the_first_reason_to_end_counts_and_what_waits_is_kept(change):
    reader = Subscriber(("all",), bound=3)
    waiting = change()
    reader.offer(waiting)
    reader.end("closing")
    reader.end("slow")
    assert (reader.ended, reader.take()) == ("closing", [waiting])


async def test_waiting_ends_with_a_change_and_with_the_time(change):
    reader = Subscriber(("all",), bound=3)
    assert await reader.wait(0.01) is False
    waiting = asyncio.create_task(reader.wait(10))
    await asyncio.sleep(0)
    reader.offer(change())
    assert await asyncio.wait_for(waiting, 10) is True
