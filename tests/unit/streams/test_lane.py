"""A lane: in order, unbroken, bounded, and never waiting for ever."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace

import pytest
from faust.types import TP

from streams.exactly_once import lane as room
from streams.exactly_once.batch import Batch
from streams.exactly_once.lane import Lane, Place
from streams.settings import EngineSettings

COMMANDS, UPSTREAM = TP("commands", 0), TP("upstream", 0)


@dataclass
class Record:
    topic: str
    timestamp: int


@dataclass
class Flow:
    full: list = field(default_factory=list)
    dropped: list = field(default_factory=list)

    def on_buffer_full(self, tp):
        self.full.append(tp)

    def on_buffer_drop(self, tp):
        self.dropped.append(tp)


class Event:
    def __init__(self, tp, start, times, *, epoch=1, ends=None):
        self.message = SimpleNamespace(tp=tp)
        records = [Record(tp.topic, time) for time in times]
        self.value = Batch(epoch, start, start + len(times), records, ends or {})
        self.acked = False

    def ack(self):
        self.acked = True


class World:
    """A lane whose steps are written down; the process's end is an event instead."""

    def __init__(self, monkeypatch):
        self.steps, self.flow, self.ended = [], Flow(), asyncio.Event()
        self.why = None
        self.step, self.chore = self.write_down, self.nothing_to_do
        monkeypatch.setattr(room, "end_process", self.end)
        monkeypatch.setattr(room, "end_process_after", lambda error, why, **facts: self.end(why, error=error, **facts))

    def end(self, why, *_, **facts):
        self.why = (why, facts)
        self.ended.set()
        raise asyncio.CancelledError

    async def write_down(self, _, records):
        self.steps.append([(each.topic, each.timestamp) for each in records])

    async def nothing_to_do(self, _):
        return 3_600

    def lane(self, *, command_end=0, **settings):
        places = {UPSTREAM: Place(0, 0), COMMANDS: Place(0, command_end)}

        async def step(held, records):
            await self.step(held, records)

        async def chore(held):
            return await self.chore(held)

        return Lane(SimpleNamespace(number=0), places, 1, self.flow, step, chore, EngineSettings(**settings))

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - steps are written down by another task
                await asyncio.sleep(0.005)


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


async def test_what_waits_is_one_step_and_is_acked_after_it(world):
    lane, gate, begun = world.lane(), asyncio.Event(), asyncio.Event()

    async def step(_, records):
        begun.set()
        await gate.wait()
        await world.write_down(_, records)

    world.step = step
    first, second, third = Event(UPSTREAM, 0, [1]), Event(UPSTREAM, 1, [3]), Event(COMMANDS, 0, [2])
    lane.put(first)
    await begun.wait()
    lane.put(second)
    lane.put(third)
    assert not first.acked
    gate.set()
    await world.until(lambda: second.acked and third.acked)
    assert world.steps == [[("upstream", 1)], [("commands", 2), ("upstream", 3)]]
    await lane.close()


async def test_a_batch_that_does_not_follow_ends_the_process(world):
    lane = world.lane()
    lane.put(Event(UPSTREAM, 0, [1]))
    with pytest.raises(asyncio.CancelledError):
        lane.put(Event(UPSTREAM, 5, [1]))
    why, facts = world.why
    assert "delivery was lost" in why
    assert (facts["expected"], facts["start"]) == (1, 5)
    await lane.close()


async def test_a_batch_of_another_rebalance_is_dropped(world):
    lane = world.lane()
    stale = Event(UPSTREAM, 7, [1], epoch=0)
    lane.put(stale)
    lane.put(Event(UPSTREAM, 0, [2]))
    await world.until(lambda: world.steps)
    assert (world.steps, stale.acked, world.why) == ([[("upstream", 2)]], False, None)
    await lane.close()


async def test_a_full_lane_closes_its_tap_and_opens_it_when_there_is_room(world):
    lane = world.lane(lane_records=3)
    lane.put(Event(UPSTREAM, 0, [1, 2, 3, 4]))
    assert world.flow.full == [UPSTREAM]
    await world.until(lambda: UPSTREAM in world.flow.dropped)
    await lane.close()


async def test_one_topic_waits_for_another_that_is_known_to_have_more(world):
    lane = world.lane(command_end=1)
    lane.put(Event(UPSTREAM, 0, [5]))
    await asyncio.sleep(0)
    lane.put(Event(COMMANDS, 0, [1]))
    await world.until(lambda: world.steps)
    assert world.steps == [[("commands", 1), ("upstream", 5)]]
    await lane.close()


async def test_it_gives_up_waiting_though_the_others_keep_coming(world):
    lane, at = world.lane(command_end=1, merge_timeout=0.2), 0
    async with asyncio.timeout(5):
        while not world.steps:
            lane.put(Event(UPSTREAM, at, [5], ends={COMMANDS: 1}))
            at += 1
            await asyncio.sleep(0.02)
    await lane.close()


async def test_a_step_that_fails_or_hangs_ends_the_process(world):
    for step in (lambda *_: asyncio.Event().wait(), lambda *_: 1 / 0):
        world.step, world.ended = step, asyncio.Event()
        lane = world.lane(step_timeout=0.05)
        event = Event(UPSTREAM, 0, [1])
        lane.put(event)
        async with asyncio.timeout(5):
            await world.ended.wait()
        assert world.why[0] == "a step failed"
        assert not event.acked


async def test_closing_ends_the_step_in_hand_and_drops_what_waits(world):
    lane, gate, begun = world.lane(step_timeout=2), asyncio.Event(), asyncio.Event()

    async def step(_, records):
        begun.set()
        await gate.wait()
        await world.write_down(_, records)

    world.step = step
    first, second = Event(UPSTREAM, 0, [1]), Event(UPSTREAM, 1, [2])
    lane.put(first)
    await begun.wait()
    lane.put(second)
    closing = asyncio.create_task(lane.close())
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert (world.steps, first.acked, second.acked) == ([[("upstream", 1)]], True, False)


async def test_a_step_that_does_not_end_at_closing_ends_the_process(world):
    lane, begun = world.lane(step_timeout=0.05), asyncio.Event()

    async def step(*_):
        begun.set()
        while True:  # it does not even let itself be cancelled
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            if world.ended.is_set():
                return

    world.step = step
    lane.put(Event(UPSTREAM, 0, [1]))
    await begun.wait()
    with pytest.raises(asyncio.CancelledError):
        await lane.close()
    assert world.why[0] == "a step does not end"
    lane._task.cancel()


async def test_batches_are_acked_in_order_and_one_that_is_read_in_part_is_not(world):
    acked, lane = [], world.lane(step_records=2)
    first, second = Event(UPSTREAM, 0, [1, 2, 3]), Event(UPSTREAM, 3, [4])
    first.ack, second.ack = lambda: acked.append((1, len(world.steps))), lambda: acked.append((2, len(world.steps)))
    lane.put(first)
    lane.put(second)
    await world.until(lambda: len(acked) == 2)
    assert (acked, [len(each) for each in world.steps]) == ([(1, 2), (2, 2)], [2, 2])
    await lane.close()


async def test_it_learns_from_every_batch_how_far_the_other_topic_reaches(world):
    lane = world.lane(command_end=0)
    lane.put(Event(UPSTREAM, 0, [5], ends={COMMANDS: 1, UPSTREAM: 1}))
    await asyncio.sleep(0.02)
    assert world.steps == []
    lane.put(Event(COMMANDS, 0, [9], ends={COMMANDS: 0}))
    await world.until(lambda: world.steps)
    assert world.steps == [[("upstream", 5), ("commands", 9)]]
    await lane.close()


async def test_its_lag_is_what_is_known_of_and_not_applied(world):
    lane = world.lane(command_end=7)
    assert lane.lag() == {COMMANDS: 7, UPSTREAM: 0}
    lane.put(Event(COMMANDS, 0, [1, 2], ends={COMMANDS: 9}))
    assert lane.lag() == {COMMANDS: 9, UPSTREAM: 0}
    await world.until(lambda: lane.lag() == {COMMANDS: 7, UPSTREAM: 0})
    lane.put(Event(UPSTREAM, 0, [1], ends={UPSTREAM: 4}))
    assert lane.lag() == {COMMANDS: 7, UPSTREAM: 4}
    await lane.close()


async def test_its_lag_has_the_step_in_hand_and_the_age_of_its_first_record(world):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def step(*_):
        begun.set()
        await go_on.wait()

    world.step = step
    lane = world.lane()
    lane.put(Event(UPSTREAM, 0, [11, 12], ends={UPSTREAM: 2}))
    await begun.wait()
    lane.put(Event(UPSTREAM, 2, [13], ends={UPSTREAM: 3}))
    assert (lane.lag(), lane.oldest()) == ({COMMANDS: 0, UPSTREAM: 3}, {UPSTREAM: 11})
    go_on.set()
    await world.until(lambda: not lane.lag()[UPSTREAM])
    assert lane.oldest() == {}
    await lane.close()


async def test_what_is_known_of_and_not_fetched_is_as_old_as_what_was_heard_last(world):
    lane = world.lane()
    lane.put(Event(UPSTREAM, 0, [11], ends={UPSTREAM: 4}))
    await world.until(lambda: lane.lag()[UPSTREAM] == 3)
    assert lane.oldest() == {UPSTREAM: 11}
    await lane.close()


class TestChore:
    """What a lane does between steps."""

    async def test_it_is_called_when_idle_at_the_pace_it_asks_for(self, world):
        loop, calls = asyncio.get_running_loop(), []

        async def chore(_):
            calls.append(loop.time())
            return 0.03

        world.chore = chore
        lane = world.lane()
        await world.until(lambda: len(calls) == 4)
        assert all(later - earlier >= 0.03 for earlier, later in pairwise(calls))
        await lane.close()

    async def test_it_is_called_between_steps_and_never_beside_one(self, world):
        order, lane_is_busy = [], False

        async def busy(what):
            nonlocal lane_is_busy
            assert not lane_is_busy
            lane_is_busy = True
            await asyncio.sleep(0)
            lane_is_busy = False
            order.append(what)

        async def chore(_):
            await busy("chore")
            return 0

        world.step, world.chore = lambda *_: busy("step"), chore
        lane = world.lane(step_records=1)
        lane.put(Event(UPSTREAM, 0, [1, 2, 3]))
        await world.until(lambda: order.count("step") == 3)
        steps = [place for place, what in enumerate(order) if what == "step"]
        assert all("chore" in order[first:last] for first, last in pairwise(steps))
        assert world.why is None
        await lane.close()

    async def test_it_waits_for_its_time_however_many_steps_there_are(self, world):
        calls = []

        async def chore(_):
            calls.append(1)
            return 3_600

        world.chore = chore
        lane = world.lane(step_records=1)
        lane.put(Event(UPSTREAM, 0, [1, 2, 3]))
        await world.until(lambda: len(world.steps) == 3)
        assert calls == [1]
        await lane.close()

    async def test_a_batch_that_comes_while_it_works_is_not_forgotten(self, world):
        begun, gate = asyncio.Event(), asyncio.Event()

        async def chore(_):
            begun.set()
            await gate.wait()
            return 3_600

        world.chore = chore
        lane = world.lane()
        await begun.wait()
        lane.put(Event(UPSTREAM, 0, [1]))
        gate.set()
        await world.until(lambda: world.steps)
        await lane.close()

    @pytest.mark.parametrize("chore", [lambda _: 1 / 0, lambda _: asyncio.Event().wait()], ids=["fails", "hangs"])
    async def test_one_that_fails_or_hangs_ends_the_process(self, world, chore):
        world.chore = chore
        world.lane(step_timeout=0.05)
        async with asyncio.timeout(5):
            await world.ended.wait()
        assert world.why[0] == "a step failed"

    async def test_it_is_not_begun_any_more_when_the_lane_closes(self, world):
        calls, gate, begun = [], asyncio.Event(), asyncio.Event()

        async def step(*_):
            begun.set()
            await gate.wait()

        async def chore(_):
            calls.append(1)
            return 0

        world.step, world.chore = step, chore
        lane = world.lane()
        lane.put(Event(UPSTREAM, 0, [1]))
        await begun.wait()
        done = len(calls)
        closing = asyncio.create_task(lane.close())
        await asyncio.sleep(0)
        gate.set()
        await closing
        assert len(calls) == done
