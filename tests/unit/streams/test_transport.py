"""The transport: an unbroken chain of batches, nothing from before a rebalance, and an order in which things end."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.consumer import Fetcher
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustDriver
from faust.types import TP

from streams.exactly_once import metrics
from streams.exactly_once import transport as room
from streams.exactly_once.lane import Place
from streams.exactly_once.transport import BatchConsumer, BatchThread, Fetched, Span
from streams.settings import EngineSettings

COMMANDS, UPSTREAM, JOBS = TP("commands", 0), TP("upstream", 0), TP("jobs", 0)
SOURCES = frozenset(("commands", "upstream"))


class Ended(BaseException):
    """The process, had it not been a test's."""


@pytest.fixture
def ended(monkeypatch):
    """Ends of the process: (words, why, facts)."""
    found = []

    def end(words, why="crash", **facts):
        found.append((words, why, facts))
        raise Ended

    monkeypatch.setattr(room, "end_process", end)
    monkeypatch.setattr(
        room, "end_process_after", lambda error, words, **facts: end(words, "after", error=error, **facts)
    )
    return found


@pytest.fixture
def holes():
    """How many offsets were told of since as deleted before they were read."""
    before = metrics.HOLES._value.get()
    return lambda: metrics.HOLES._value.get() - before


def record(offset, timestamp=1_000):
    return SimpleNamespace(offset=offset, timestamp=timestamp)


# ------------------------------------------------------- aiokafka's side


class Kafka:
    """aiokafka's consumer: partitions with a position and an end."""

    def __init__(self, **positions):
        self.calls = []
        self.committed_offsets, self.begins, self.ends = {}, {}, {}
        self.is_polling = False
        self.states = {
            TP(topic, 0): SimpleNamespace(_position=position, lso=None, has_valid_position=True)
            for topic, position in positions.items()
        }
        assignment = SimpleNamespace(_tp_state=self.states)
        self._subscription = SimpleNamespace(
            fetch_context=self._fetch_context, subscription=SimpleNamespace(assignment=assignment)
        )

    @contextlib.contextmanager
    def _fetch_context(self):
        self.is_polling = True
        yield
        self.is_polling = False

    def assignment(self):
        return set(self.states)

    def pause(self, *tps):
        self.calls.append(("pause", *tps))

    async def committed(self, tp):
        self.calls.append("committed")
        return self.committed_offsets.get(tp)

    async def beginning_offsets(self, tps):
        return {tp: self.begins.get(tp, 0) for tp in tps}

    async def end_offsets(self, tps):
        self.calls.append("ends")
        return {tp: self.ends.get(tp, 100) for tp in tps}

    def seek(self, tp, offset):
        self.calls.append(("seek", tp, offset))


def thread(kafka=None, **settings):
    made = BatchThread.__new__(BatchThread)
    lanes = SimpleNamespace(sources=SOURCES, settings=EngineSettings(**settings))
    made.transport = SimpleNamespace(lanes=lanes)
    made._ensure_consumer = lambda: kafka
    return made


@pytest.fixture
def fetch(monkeypatch):
    """What Faust's own fetch is asked for, and what it does with aiokafka's positions."""
    asked = SimpleNamespace(active=[], work=lambda kafka: {})

    async def fetch_records(_, consumer, active, timeout=None, max_records=None):  # noqa: ASYNC109 - Faust's signature
        asked.active.append(active)
        return asked.work(consumer)

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch_records)
    return asked


async def test_a_fetch_knows_where_each_partition_was_before_and_is_now_also_where_nothing_came(fetch):
    kafka = Kafka(commands=4, upstream=7)

    def work(consumer):
        consumer.states[UPSTREAM]._position = 9
        consumer.states[UPSTREAM].lso, consumer.states[COMMANDS].lso = 30, None
        return {UPSTREAM: [record(7), record(8)]}

    fetch.work = work
    fetched = await thread()._fetch_records(kafka, {COMMANDS, UPSTREAM})
    assert [each.offset for each in fetched.records[UPSTREAM]] == [7, 8]
    assert (fetched.spans, fetched.ends) == ({UPSTREAM: Span(7, 9), COMMANDS: Span(4, 4)}, {UPSTREAM: 30})


async def test_a_partition_that_has_no_position_yet_has_no_span(fetch):
    kafka = Kafka(commands=None, upstream=7)
    kafka.states[COMMANDS].has_valid_position = False
    assert (await thread()._fetch_records(kafka, {COMMANDS, UPSTREAM})).spans == {UPSTREAM: Span(7, 7)}


async def test_the_end_of_a_changelog_is_nobodys_to_wait_for(fetch):
    kafka = Kafka(jobs=1, upstream=1)
    kafka.states[JOBS].lso = kafka.states[UPSTREAM].lso = 8
    assert (await thread()._fetch_records(kafka, {JOBS, UPSTREAM})).ends == {UPSTREAM: 8}


async def test_a_worker_without_partitions_polls_and_fetches_nothing(fetch, monkeypatch):
    """It would leave the group if it did not poll; and aiokafka takes an empty set for all partitions."""
    kafka, was_polling = Kafka(upstream=0), []

    async def sleep(_):
        was_polling.append(kafka.is_polling)

    monkeypatch.setattr(room.asyncio, "sleep", sleep)
    for nothing in (set(), None):
        assert await thread()._fetch_records(kafka, nothing) == room.NOTHING
    assert (fetch.active, was_polling) == ([], [True, True])


async def test_faust_may_change_its_set_of_partitions_while_they_are_fetched(fetch):
    kafka, live = Kafka(commands=0, upstream=0), {COMMANDS, UPSTREAM}

    def work(consumer):
        live.clear()  # a lane is full, or a rebalance begins
        consumer.states[UPSTREAM]._position = 2
        return {UPSTREAM: [record(0), record(1)]}

    fetch.work = work
    fetched = await thread()._fetch_records(kafka, live)
    assert fetch.active == [{COMMANDS, UPSTREAM}]
    assert fetched.spans == {COMMANDS: Span(0, 0), UPSTREAM: Span(0, 2)}


async def test_a_partition_that_is_not_fetched_from_has_no_span(fetch):
    kafka = Kafka(commands=0, upstream=0)

    def work(consumer):
        consumer.states[COMMANDS]._position = 5  # sought meanwhile
        return {}

    fetch.work = work
    assert (await thread()._fetch_records(kafka, {UPSTREAM})).spans == {UPSTREAM: Span(0, 0)}


async def test_a_partition_that_was_taken_away_during_the_fetch_has_no_span(fetch):
    kafka = Kafka(upstream=0)

    def work(consumer):
        consumer._subscription.subscription = None
        return {}

    fetch.work = work
    assert (await thread()._fetch_records(kafka, {UPSTREAM})) == room.NOTHING


async def test_the_consumer_reads_committed_records_alone_and_fetches_as_it_is_set(monkeypatch):
    consumer = AIOKafkaConsumer()
    before = set(vars(consumer))
    monkeypatch.setattr(AIOKafkaConsumerThread, "_create_worker_consumer", lambda *_: consumer)
    made = thread(fetch_min_bytes=50_000, fetch_max_wait_ms=70)
    assert made._create_worker_consumer(made.transport) is consumer
    assert set(vars(consumer)) == before, "aiokafka calls its settings by other names now"
    assert consumer._isolation_level == "read_committed"
    assert (consumer._fetch_min_bytes, consumer._fetch_max_wait_ms) == (50_000, 70)
    await consumer.stop()


async def test_sources_are_sought_to_their_commits_and_never_before_their_beginning():
    kafka = Kafka(commands=0, upstream=0)
    kafka.committed_offsets, kafka.begins = {COMMANDS: 40, UPSTREAM: 3}, {UPSTREAM: 10}
    places = await thread(kafka)._seek_sources(SOURCES, {})
    assert places == {COMMANDS: Place(40, 100), UPSTREAM: Place(10, 100)}
    assert {("seek", COMMANDS, 40), ("seek", UPSTREAM, 10)} <= set(kafka.calls)


async def test_a_source_without_a_commit_is_read_from_its_beginning(holes):
    kafka = Kafka(upstream=55)
    kafka.begins = {UPSTREAM: 10}
    assert await thread(kafka)._seek_sources(SOURCES, {}) == {UPSTREAM: Place(10, 100, is_committed=False)}
    assert holes() == 0


async def test_what_retention_deleted_while_nobody_read_is_counted(holes):
    kafka = Kafka(commands=0, upstream=0)
    kafka.committed_offsets, kafka.begins = {COMMANDS: 10, UPSTREAM: 3}, {COMMANDS: 10, UPSTREAM: 10}
    await thread(kafka)._seek_sources(SOURCES, {})
    assert holes() == 7


async def test_commits_are_asked_for_before_ends():
    """Another owner may have committed on until a moment ago: its commit is never behind an end that we know."""
    kafka = Kafka(commands=0, upstream=0)
    await thread(kafka)._seek_sources(SOURCES, {})
    assert [each for each in kafka.calls if isinstance(each, str)] == ["committed", "committed", "ends"]


async def test_changelogs_are_paused_because_they_are_loaded_in_bulk():
    kafka = Kafka(upstream=0, jobs=0)
    places = await thread(kafka)._seek_sources(SOURCES, {})
    assert set(places) == {UPSTREAM}
    assert ("pause", JOBS) in kafka.calls


async def test_without_sources_nothing_is_sought():
    kafka = Kafka(jobs=0)
    assert await thread(kafka)._seek_sources(SOURCES, {}) == {}


async def test_a_commit_behind_the_end_needs_an_operator(ended, monkeypatch):
    """The topic was made anew: the positions in the documents are of the old one."""
    monkeypatch.setattr(room, "LEADER_SECONDS", 0.05)
    kafka = Kafka(upstream=0)
    kafka.committed_offsets, kafka.ends = {UPSTREAM: 41}, {UPSTREAM: 40}
    with pytest.raises(Ended):
        await thread(kafka)._seek_sources(SOURCES, {})
    [(words, why, facts)] = ended
    assert (why, facts["committed"], facts["end"]) == ("operator", 41, 40)
    assert "made anew" in words
    assert not [each for each in kafka.calls if each[0] == "seek"]


@pytest.mark.parametrize(("committed", "reached"), [(41, 0), (None, 41)])
async def test_a_leader_that_knows_an_older_end_for_a_moment_is_asked_again(ended, committed, reached):
    """One that has just been elected may not know yet how far the others have confirmed its records."""
    kafka = Kafka(upstream=0)
    kafka.committed_offsets, kafka.ends = {UPSTREAM: committed}, {UPSTREAM: 40}
    seeking = asyncio.create_task(thread(kafka)._seek_sources(SOURCES, {UPSTREAM: reached}))
    async with asyncio.timeout(5):
        while kafka.calls.count("ends") < 3:  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0.01)
    kafka.ends = {UPSTREAM: 44}
    assert (await seeking)[UPSTREAM].end == 44
    assert ended == []


async def test_a_commit_at_the_end_is_in_order(ended):
    kafka = Kafka(upstream=0)
    kafka.committed_offsets, kafka.ends = {UPSTREAM: 40}, {UPSTREAM: 40}
    assert await thread(kafka)._seek_sources(SOURCES, {}) == {UPSTREAM: Place(40, 40)}
    assert ended == []


def test_a_paused_changelog_is_not_taken_for_a_stuck_stream(monkeypatch):
    looked_at = []
    monkeypatch.setattr(AIOKafkaConsumerThread, "verify_event_path", lambda _, now, tp: looked_at.append(tp))
    for tp in (UPSTREAM, JOBS):
        thread().verify_event_path(1.0, tp)
    assert looked_at == [UPSTREAM]


# --------------------------------------------------------- Faust's side


class Lanes:
    """The engine's state, as far as the consumer touches it."""

    def __init__(self, log):
        self.sources, self.stopped, self.held, self._log = SOURCES, False, {0: None, 1: None}, log
        self.while_checking = lambda: None

    def open(self, places, epoch):
        self._log.append(("open", dict(places), epoch))

    def reached(self):
        return {}

    async def check_sources(self, places):
        self._log.append("check")
        self.while_checking()

    async def close(self):
        self._log.append("close")

    async def release(self, numbers):
        self._log.append(("release", *sorted(numbers)))


class Thread:
    """Where the consumer is sought to, and where its partition begins."""

    def __init__(self):
        self.sought, self.places, self.error, self.first = [], {}, None, 0
        self.meanwhile = lambda: None

    async def seek_wait(self, places):
        self.sought.append(places)
        if self.error is not None:
            raise self.error

    async def first_offset(self, tp):
        self.meanwhile()
        return self.first

    async def seek_sources(self, sources, reached):
        self.meanwhile()
        return self.places


class World:
    """A consumer after an assignment; fetches are taken from a list."""

    def __init__(self):
        self.log, self.thread, self.fetches = [], Thread(), []
        self.meanwhile = lambda: None
        consumer = self.consumer = BatchConsumer.__new__(BatchConsumer)
        consumer._lanes, consumer._thread = Lanes(self.log), self.thread
        consumer._epoch, consumer._next, consumer._sought = 1, {UPSTREAM: 5}, {}
        consumer._read_offset, consumer._committed_offset = {}, {}
        consumer._acked, consumer._acked_index = {UPSTREAM: []}, {UPSTREAM: set()}
        consumer._buffered_partitions = set()
        consumer._stopped, consumer._crashed = asyncio.Event(), asyncio.Event()
        consumer.app = SimpleNamespace(consumer_generation_id=3)
        consumer._get_active_partitions = lambda: {UPSTREAM}
        consumer._getmany = self.getmany

    async def getmany(self, active, timeout):  # noqa: ASYNC109 - Faust's signature
        self.meanwhile()
        return self.fetches.pop(0)

    async def deliver(self, *spans):
        """What one fetch of `upstream` leads to: the batches that reach the agent."""
        for start, end, *offsets in spans:
            records = {UPSTREAM: [record(each) for each in offsets]} if offsets else {}
            self.fetches.append(Fetched(records, {UPSTREAM: Span(start, end)}, {UPSTREAM: 90, COMMANDS: 20}))
        return [message.value for _ in spans async for _, message in self.consumer.getmany(1)]


@pytest.fixture
def world():
    return World()


def bounds(batches):
    return [(each.start, each.end, [record.offset for record in each.records]) for each in batches]


async def test_batches_follow_each_other(world):
    batches = await world.deliver((5, 8, 5, 7), (8, 9), (9, 10, 9))
    assert bounds(batches) == [(5, 8, [5, 7]), (8, 9, []), (9, 10, [9])]
    assert {each.epoch for each in batches} == {1}
    assert batches[0].ends == {UPSTREAM: 90, COMMANDS: 20}
    assert world.thread.sought == []


async def test_a_message_stands_for_the_last_offset_of_its_batch(world):
    world.fetches.append(Fetched({UPSTREAM: [record(5, 2_500)]}, {UPSTREAM: Span(5, 8)}, {}))
    [(tp, message)] = [each async for each in world.consumer.getmany(1)]
    assert (tp, message.tp, message.offset, message.timestamp) == (UPSTREAM, UPSTREAM, 7, 2.5)
    assert message.generation_id == 3


async def test_a_partition_to_which_nothing_new_came_delivers_nothing(world):
    assert await world.deliver((5, 5), (5, 5)) == []
    assert world.thread.sought == []


@pytest.mark.parametrize(
    "broken",
    [(7, 9, 7, 8), (9, 9), (None, 9, 8), (3, 9, 8), (5, 9, 4), (5, 9, 5, 9)],
    ids=["a gap", "a lost fetch", "no position", "too early", "records before it", "records behind it"],
)
async def test_a_broken_chain_is_sought_back_and_nothing_is_delivered_until_it_holds(world, holes, broken):
    before = metrics.REFETCHES._value.get()
    assert await world.deliver(broken) == []
    assert world.thread.sought == [{UPSTREAM: 5}]
    assert metrics.REFETCHES._value.get() == before + 1
    assert bounds(await world.deliver((5, 9, 5, 8))) == [(5, 9, [5, 8])]
    assert holes() == 0


async def test_what_is_gone_for_good_is_told_of_and_passed_over(world, holes):
    world.thread.first = 8
    batches = await world.deliver((9, 12, 9), (8, 12, 8, 9))
    assert bounds(batches) == [(5, 8, []), (8, 12, [8, 9])]
    assert world.thread.sought == [{UPSTREAM: 8}]
    assert holes() == 3


@pytest.mark.parametrize("records", [(8, 9), ()], ids=["before the records", "and nothing came"])
async def test_what_went_while_the_chain_held_is_told_of_too(world, holes, records):
    """aiokafka goes on by itself where its position is gone."""
    world.thread.first = 8
    assert bounds(await world.deliver((5, 10, *records))) == [(5, 10, list(records))]
    assert (holes(), world.thread.sought) == (3, [])


@pytest.mark.parametrize("records", [(8, 9), ()], ids=["before the records", "and nothing came"])
async def test_markers_of_transactions_are_no_hole(world, holes, records):
    assert bounds(await world.deliver((5, 10, *records))) == [(5, 10, list(records))]
    assert holes() == 0


async def test_seeking_back_in_a_partition_that_was_taken_away_is_no_error(world):
    world.thread.error = IllegalStateError("no partition assigned")
    assert await world.deliver((7, 9, 8)) == []
    assert world.consumer._next == {UPSTREAM: 5}


@pytest.mark.parametrize("fetch", [(5, 9, 8), (9, 12, 9)], ids=["the chain holds", "the chain is broken"])
async def test_a_rebalance_while_the_beginning_is_asked_for_voids_the_batch(world, fetch):
    def rebalance():
        world.consumer._epoch += 1
        world.consumer._next = {}

    world.thread.meanwhile, world.thread.first = rebalance, 8
    assert await world.deliver(fetch) == []
    assert world.consumer._next == {}


async def test_what_was_fetched_before_a_rebalance_is_neither_delivered_nor_gone_back_to(world):
    """The fetch waited while partitions went and came: what it brings is void, and so are its positions."""

    def rebalance():
        world.consumer._epoch += 1
        world.consumer._next = {UPSTREAM: 20}

    world.meanwhile = rebalance
    assert await world.deliver((5, 8, 5)) == []
    assert (world.consumer._next, world.thread.sought) == ({UPSTREAM: 20}, [])


@pytest.mark.parametrize("change", ["the flow has stopped", "the consumer stops"])
async def test_nothing_is_delivered_once(world, change):
    def happen():
        world.consumer.flow_active = change != "the flow has stopped"
        if change == "the consumer stops":
            world.consumer._stopped.set()

    world.meanwhile = happen
    assert await world.deliver((5, 8, 5)) == []


async def test_a_rebalance_between_two_partitions_of_one_fetch_voids_the_second(world):
    world.consumer._next[COMMANDS] = 0
    world.fetches.append(Fetched({}, {UPSTREAM: Span(5, 6), COMMANDS: Span(0, 1)}, {}))
    delivered = []
    async for tp, _ in world.consumer.getmany(1):
        delivered.append(tp)
        world.consumer._epoch += 1
    assert delivered == [UPSTREAM]


async def test_a_partition_that_was_not_sought_yet_delivers_nothing(world):
    world.consumer._next.clear()
    assert await world.deliver((5, 8, 5)) == []
    assert world.thread.sought == []


async def test_while_the_flow_is_stopped_nothing_is_fetched(world):
    resumed, order = asyncio.Event(), []
    world.consumer.flow_active, world.consumer.can_resume_flow = False, resumed

    async def wait(event):
        order.append("wait")
        await event.wait()
        world.consumer.flow_active = True

    world.consumer.wait = wait
    world.meanwhile = lambda: order.append("fetch")
    asyncio.get_running_loop().call_soon(resumed.set)
    assert bounds(await world.deliver((5, 6, 5))) == [(5, 6, [5])]
    assert order == ["wait", "fetch"]


def test_the_offset_to_commit_is_behind_the_last_ack_and_is_told_once(world):
    world.consumer._acked[UPSTREAM], world.consumer._acked_index[UPSTREAM] = [3, 9, 7], {3, 9, 7}
    assert [world.consumer._new_offset(UPSTREAM) for _ in range(2)] == [10, None]
    assert world.consumer._acked_index[UPSTREAM] == set()


async def test_places_are_taken_over_when_lanes_and_chain_are_opened_and_before_anything_flows(world):
    world.thread.places = {UPSTREAM: Place(30, 50), COMMANDS: Place(0, 0)}
    world.consumer.resume_partitions = lambda tps: world.log.append(("resume", *sorted(tps)))
    await world.consumer.perform_seek()
    assert world.consumer._committed_offset == {UPSTREAM: 30, COMMANDS: None}
    world.consumer.open_sources()
    assert world.log == ["check", ("open", world.thread.places, 1), ("resume", COMMANDS, UPSTREAM)]
    assert world.consumer._next == {UPSTREAM: 30, COMMANDS: 0}


@pytest.mark.parametrize("moment", ["while they are sought", "while they are checked"])
async def test_places_from_before_a_rebalance_are_not_taken_over(world, moment):
    def rebalance():
        world.consumer._epoch += 1

    world.thread.places = {UPSTREAM: Place(30, 50)}
    if moment == "while they are sought":
        world.thread.meanwhile = rebalance
    else:
        world.consumer._lanes.while_checking = rebalance
    await world.consumer.perform_seek()
    assert (world.consumer._sought, world.consumer._committed_offset) == ({}, {})


async def test_on_revocation_steps_end_then_acks_are_committed_then_faust_forgets_them(world, monkeypatch):
    consumer = world.consumer
    consumer._buffered_partitions = {UPSTREAM}

    async def close():
        world.log.append(("close", consumer._epoch, dict(consumer._next)))

    async def commit():
        world.log.append("commit")

    async def forget(_, revoked):
        world.log.append(("forget", *revoked))

    consumer._lanes.close, consumer.commit = close, commit
    monkeypatch.setattr(FaustConsumer, "on_partitions_revoked", forget)
    await consumer.on_partitions_revoked({UPSTREAM})
    assert world.log == [("close", 2, {}), "commit", ("forget", UPSTREAM)]
    assert consumer._buffered_partitions == set()


async def test_on_stop_steps_end_then_acks_are_committed_then_the_partitions_go(world, monkeypatch):
    async def stop(_):
        world.log.append(("commit", world.consumer._lanes.stopped))

    monkeypatch.setattr(FaustDriver, "on_stop", stop)
    await world.consumer.on_stop()
    assert world.log == ["close", ("commit", True), ("release", 0, 1)]


async def test_a_crash_anywhere_in_faust_ends_the_process(world, ended, monkeypatch):
    async def drain(*_):
        raise LookupError("in the fetcher")

    monkeypatch.setattr(FaustConsumer, "_drain_messages", drain)
    error = RuntimeError("somewhere")
    for crash in (world.consumer.crash(error), thread().crash(error), world.consumer._drain_messages(None)):
        with pytest.raises(Ended):
            await crash
    assert [words for words, *_ in ended] == [
        "the consumer crashed", "the consumer's thread crashed", "the fetcher crashed",
    ]  # fmt: skip
    assert [str(facts["error"]) for *_, facts in ended] == ["somewhere", "somewhere", "in the fetcher"]


async def test_a_fetcher_that_is_told_to_stop_is_no_crash(world, ended, monkeypatch):
    async def drain(*_):
        raise asyncio.CancelledError

    monkeypatch.setattr(FaustConsumer, "_drain_messages", drain)
    with pytest.raises(asyncio.CancelledError):
        await world.consumer._drain_messages(Fetcher)
    assert ended == []
