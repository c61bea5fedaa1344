"""From an assignment to the first event: in this order, or not at all."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import IllegalStateError
from faust.tables.manager import TableManager
from faust.types import TP

from streams.exactly_once import recovery as room
from streams.exactly_once.recovery import BulkRecovery, BulkTables

ASSIGNED = {TP("commands", 0), TP("upstream", 0), TP("upstream", 1), TP("jobs", 0), TP("jobs", 7)}


class Ended(BaseException):
    """The process, had it not been a test's."""


class Tables(dict):
    """Faust's table manager, as far as recovery tells it something."""

    def __init__(self, log):
        super().__init__(jobs=SimpleNamespace(call_recover_callbacks=self._callbacks))
        self._log = log

    async def _callbacks(self):
        self._log.append("table callbacks")

    def on_actives_ready(self):
        self._log.append("actives ready")

    def on_standbys_ready(self):
        self._log.append("standbys ready")


class World:
    """A recovery service under an app that writes down what is asked of it."""

    def __init__(self, monkeypatch):
        self.log, self.ended = [], None
        self.while_assigning = self.while_seeking = self.nothing
        consumer = SimpleNamespace(
            perform_seek=self.seek,
            resume_flow=lambda: self.log.append("flow resumed"),
            open_sources=lambda: self.log.append("sources opened"),
        )
        self.app = SimpleNamespace(
            conf=SimpleNamespace(stream_recovery_delay=0),
            transport=SimpleNamespace(
                lanes=SimpleNamespace(assign=self.assign, sources=frozenset(("commands", "upstream")))
            ),
            consumer=consumer, consumer_generation_id=1, should_stop=False,
            on_rebalance_complete=SimpleNamespace(send=self.tell),
            flow_control=SimpleNamespace(resume=lambda: self.log.append("queues cleared")),
            _fetcher=SimpleNamespace(maybe_start=self.fetch),
            on_rebalance_end=lambda: self.log.append("rebalance over"),
        )  # fmt: skip
        self.recovery = BulkRecovery(self.app, Tables(self.log))
        monkeypatch.setattr(room, "end_process", lambda words, *_, **__: self.end(words, None))
        monkeypatch.setattr(room, "end_process_after", lambda error, words: self.end(words, error))

    def end(self, words, error):
        self.ended = (words, error)
        raise Ended

    async def nothing(self):
        pass

    async def assign(self, wanted, generation):
        self.log.append(f"assign {sorted(wanted)} of {generation}")
        await self.while_assigning()

    async def tell(self):
        self.log.append("rebalance complete")

    async def seek(self):
        self.log.append("seek")
        await self.while_seeking()

    async def fetch(self):
        self.log.append("fetcher started")

    async def rebalance(self, generation, assigned=ASSIGNED):
        self.app.consumer_generation_id = generation
        await self.recovery.on_rebalance(assigned, set(), assigned, generation)

    async def run(self, until):
        """Faust's task, until the condition holds; what it ended with, if it ended."""
        task = asyncio.create_task(BulkRecovery._restart_recovery(self.recovery))
        async with asyncio.timeout(5):
            while not task.done() and not until():  # noqa: ASYNC110 - the task changes it
                await asyncio.sleep(0.001)
        task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0]


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


async def test_partitions_are_taken_then_sought_and_only_then_does_anything_flow(world):
    await world.rebalance(1)
    world.recovery.signal_recovery_start.clear()
    await world.recovery._recover()
    assert world.log == [
        "assign [0, 1] of 1", "rebalance complete", "seek", "queues cleared", "flow resumed", "sources opened",
        "fetcher started", "table callbacks", "actives ready", "standbys ready", "rebalance over",
    ]  # fmt: skip
    assert world.recovery.completed.is_set()


@pytest.mark.parametrize("moment", ["while_assigning", "while_seeking"])
async def test_a_rebalance_meanwhile_opens_nothing_and_the_next_assignment_is_recovered(world, moment):
    async def again():
        setattr(world, moment, world.nothing)
        await world.rebalance(2, {TP("upstream", 1)})
        await asyncio.Event().wait()

    setattr(world, moment, again)
    await world.rebalance(1)
    await world.run(until=lambda: "rebalance over" in world.log)
    assert world.log.count("sources opened") == 1
    assert world.log.index("assign [1] of 2") < world.log.index("sources opened")
    assert world.ended is None


async def test_a_generation_that_is_over_already_opens_nothing(world):
    async def left_behind():
        world.app.consumer_generation_id = 2

    world.while_seeking = left_behind
    await world.rebalance(1)
    world.recovery.signal_recovery_start.clear()
    await world.recovery._recover()
    assert world.log == ["assign [0, 1] of 1", "rebalance complete", "seek"]
    assert not world.recovery.completed.is_set()


async def test_an_assignment_that_changes_under_the_seek_is_recovered_anew(world):
    async def taken_away():
        world.while_seeking = world.nothing
        await world.rebalance(2)
        world.recovery.signal_recovery_start.clear()  # it has been told of the error alone
        world.recovery._wanted_generation = 1
        asyncio.get_running_loop().call_later(0.01, world.recovery.signal_recovery_start.set)
        asyncio.get_running_loop().call_later(0.01, setattr, world.recovery, "_wanted_generation", 2)
        raise IllegalStateError("no current assignment for partition")

    world.while_seeking = taken_away
    await world.rebalance(1)
    await world.run(until=lambda: "rebalance over" in world.log)
    assert world.log.count("sources opened") == 1
    assert world.log.count("seek") == 2
    assert world.ended is None


@pytest.mark.parametrize("moment", ["while_assigning", "while_seeking"])
async def test_any_other_failure_ends_the_process(world, moment):
    async def fail():
        raise LookupError("no such topic")

    setattr(world, moment, fail)
    await world.rebalance(1)
    assert isinstance(await world.run(until=lambda: False), Ended)
    words, error = world.ended
    assert (words, type(error)) == ("recovery failed", LookupError)
    assert "sources opened" not in world.log


async def test_being_cancelled_ends_the_process_unless_it_is_stopping(world):
    async def cancelled():
        raise asyncio.CancelledError

    world.recovery._recover = cancelled
    await world.rebalance(1)
    assert isinstance(await world.run(until=lambda: False), Ended)
    assert world.ended == ("recovery was cancelled", None)

    world.ended, world.app.should_stop = None, True
    await world.rebalance(2)
    assert await world.run(until=lambda: False) is None
    assert world.ended is None


async def test_only_partitions_of_the_sources_are_wanted(world):
    await world.rebalance(4)
    assert (world.recovery._wanted, world.recovery._wanted_generation) == ({0, 1}, 4)


@pytest.mark.parametrize("is_well", [True, False])
async def test_the_topics_are_looked_at_before_anything_starts(world, monkeypatch, is_well):
    async def start(_):
        world.log.append("tables started")

    async def check_topics():
        world.log.append("topics looked at")
        if not is_well:
            raise LookupError("no such topic")

    monkeypatch.setattr(TableManager, "on_start", start)
    tables = BulkTables.__new__(BulkTables)
    tables.app = world.app
    world.app.transport.lanes.check_topics = check_topics
    if is_well:
        await tables.on_start()
        assert world.log == ["topics looked at", "tables started"]
    else:
        with pytest.raises(Ended):
            await tables.on_start()
        assert world.log == ["topics looked at"]
