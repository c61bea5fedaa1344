"""All lanes of a process: what is held from one rebalance to the next, and in which order it is taken."""

import asyncio
import contextlib
import gc
from types import SimpleNamespace

import pytest
from faust.types import TP

from schemas.errors import StopProcess
from schemas.settings import KafkaSettings
from streams.exactly_once import changelog, metrics
from streams.exactly_once.batch import Batch
from streams.exactly_once.exits import Ledger
from streams.exactly_once.held import HeldPartition
from streams.exactly_once.lane import Place
from streams.exactly_once.lanes import Engine, Lanes
from streams.rows import Position, Rows
from streams.settings import EngineSettings

KEY = b"998d1234-5678-4abc-8def-0123456789ab"
COMMANDS, UPSTREAM = "commands", "x.upstream"
DOCUMENT = b'{"file_id":"%s","and":"so on"}' % KEY


class Held:
    """A partition whose producer is a line in a log."""

    def __init__(self, number, log):
        self.number, self.rows, self._log = number, Rows(), log

    async def release(self):
        self._log.append(f"release {self.number}")


class World:
    """Lanes without Kafka: fencing and loading are written down."""

    def __init__(self, monkeypatch, tmp_path):
        self.log, self.steps, self.full = [], [], []
        self.changelog = {KEY: DOCUMENT}
        self.positions = {b"upstream": Position(41, 5_000).encode()}
        self.while_loading = self.nothing
        monkeypatch.setattr(HeldPartition, "fence", self.fence)
        monkeypatch.setattr(changelog, "load", self.load)
        self._engine = Engine(
            sources={"commands": "commands", "x.upstream": "upstream"}, changelog="jobs", positions="positions",
            step=self.step, chore=lambda: self.chore, ends=Ledger(tmp_path),
        )  # fmt: skip

    def lanes(self, **settings):
        lanes = Lanes("app", KafkaSettings(), self._engine, EngineSettings(**settings))
        lanes.flow = SimpleNamespace(on_buffer_full=self.full.append, on_buffer_drop=lambda tp: None)
        return lanes

    async def nothing(self):
        pass

    async def fence(self, app_id, number, kafka, settings):
        await asyncio.sleep(0.001)
        self.log.append(f"fence {number}")
        return Held(number, self.log)

    async def load(self, kafka, topic, partitions, *, progress=None):
        self.log.append(f"load {topic} {list(partitions)}")
        await self.while_loading()
        if topic == "positions":
            return {number: dict(self.positions) for number in partitions}
        return {number: dict(self.changelog) for number in partitions}

    async def step(self, held, records):
        self.steps.append((held.number, records))

    async def chore(self, _):
        return 3_600


@pytest.fixture
def world(monkeypatch, tmp_path):
    return World(monkeypatch, tmp_path)


async def test_every_old_owner_is_fenced_before_the_first_row_is_read(world):
    await world.lanes().assign({1, 0}, 1)
    fences = [place for place, each in enumerate(world.log) if each.startswith("fence")]
    loads = [place for place, each in enumerate(world.log) if each.startswith("load")]
    assert (len(fences), len(loads)) == (2, 2)
    assert max(fences) < min(loads)


async def test_what_is_kept_over_the_next_rebalance_is_neither_fenced_nor_read_again(world):
    lanes = world.lanes()
    await lanes.assign({0}, 4)
    before = lanes.held[0]
    world.log.clear()
    await lanes.assign({0, 1}, 5)
    assert lanes.held[0] is before
    assert [each for each in world.log if each.endswith(("0", "[0]", "[0, 1]"))] == []
    assert set(lanes.held) == {0, 1}


@pytest.mark.parametrize("generation", [4, 6, 9], ids=["the same again", "one was missed", "several were missed"])
async def test_after_a_missed_generation_everything_is_released_fenced_and_read_anew(world, generation):
    """Somebody else may have had the partition in between."""
    lanes = world.lanes()
    await lanes.assign({0, 1}, 4)
    before = dict(lanes.held)
    world.log.clear()
    await lanes.assign({0, 1}, generation)
    assert sorted(world.log[:2]) == ["release 0", "release 1"]
    assert sorted(world.log[2:4]) == ["fence 0", "fence 1"]
    assert "load jobs [0, 1]" in world.log
    assert all(lanes.held[number] is not before[number] for number in (0, 1))


async def test_what_is_not_wanted_any_more_is_released_before_anything_is_taken(world):
    lanes = world.lanes()
    await lanes.assign({0, 1}, 1)
    world.log.clear()
    await lanes.assign({1, 2}, 2)
    assert world.log[:2] == ["release 0", "fence 2"]
    assert set(lanes.held) == {1, 2}


@pytest.mark.parametrize("error", [RuntimeError("broker gone"), asyncio.CancelledError()], ids=repr)
async def test_a_load_that_fails_leaves_no_producer_behind(world, error):
    async def fail():
        raise error

    world.while_loading = fail
    lanes = world.lanes()
    with pytest.raises(type(error)):
        await lanes.assign({0, 1}, 1)
    assert [each for each in world.log if "release" in each] == ["release 0", "release 1"]
    assert lanes.held == {}
    assert lanes.not_ready()


async def test_one_that_cannot_be_fenced_lets_the_others_go(world, monkeypatch):
    async def fence(app_id, number, kafka, settings):
        if number == 1:
            await asyncio.sleep(0.01)
            raise RuntimeError("no answer")
        return Held(number, world.log)

    monkeypatch.setattr(HeldPartition, "fence", fence)
    lanes = world.lanes()
    with pytest.raises(RuntimeError):
        await lanes.assign({0, 1}, 1)
    assert world.log == ["release 0"]
    assert lanes.held == {}


async def test_a_load_that_takes_too_long_fails(world):
    world.while_loading = asyncio.Event().wait
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await world.lanes(load_timeout=0.02).assign({0}, 1)


@pytest.mark.parametrize("error", [None, RuntimeError("broker gone")], ids=["well", "badly"])
async def test_nothing_is_searched_for_garbage_until_the_last_load_has_ended(world, error):
    """A million new rows are none; positions, which are few, are there long before them."""
    was_on, endings = [], [asyncio.sleep(0), asyncio.sleep(0.02)]

    async def load():
        await endings.pop(0)
        was_on.append(gc.isenabled())
        if error is not None and len(was_on) == 2:
            raise error

    world.while_loading = load
    with contextlib.suppress(RuntimeError):
        await world.lanes().assign({0}, 1)
    assert (was_on, gc.isenabled()) == ([False, False], True)


async def test_a_second_assignment_waits_until_the_first_has_ended(world):
    gate = asyncio.Event()
    world.while_loading = gate.wait
    lanes = world.lanes()
    first = asyncio.create_task(lanes.assign({0}, 1))
    async with asyncio.timeout(5):
        while not any(each.startswith("load jobs") for each in world.log):  # noqa: ASYNC110 - another task writes it
            await asyncio.sleep(0.001)
    second = asyncio.create_task(lanes.assign({0, 1}, 2))
    await asyncio.sleep(0.02)
    assert not any("1" in each for each in world.log)
    gate.set()
    await asyncio.gather(first, second)
    assert set(lanes.held) == {0, 1}


async def test_rows_and_positions_are_those_of_the_two_topics(world):
    lanes = world.lanes()
    await lanes.assign({0, 1}, 1)
    rows = lanes.held[1].rows
    assert (rows.documents, rows.positions) == ({KEY: DOCUMENT}, {"upstream": Position(41, 5_000)})
    assert lanes.rows() == {0: 1, 1: 1}


async def test_the_decoded_documents_of_all_partitions_share_one_limit(world):
    lanes = world.lanes(warm_jobs=12)
    await lanes.assign({0, 1}, 1)
    assert [held.rows.warm_limit for held in lanes.held.values()] == [6, 6]
    await lanes.assign({0, 1, 2}, 2)
    assert [held.rows.warm_limit for held in lanes.held.values()] == [4, 4, 4]


async def test_a_damaged_changelog_stops_the_process_and_names_the_record(world):
    world.changelog = {KEY: b'{"hello":"world"}'}
    lanes = world.lanes()
    with pytest.raises(StopProcess, match=r"jobs, partition 0, key b'998d.*nothing has been written"):
        await lanes.assign({0}, 1)
    assert lanes.held == {}


async def test_it_says_why_it_is_not_ready_and_how_far_it_is(world):
    lanes = world.lanes()
    assert lanes.not_ready() == "recovering the rows of its partitions"
    lanes.loading = changelog.Progress(offsets=250, of=1_000)
    assert lanes.not_ready() == "recovering the rows of its partitions: 250 of 1000 offsets"
    lanes.open({}, 1)
    assert lanes.not_ready() is None
    await lanes.close()
    assert lanes.not_ready()
    lanes.stopped = True
    assert lanes.not_ready() == "stopping"


def event(tp, start, times):
    records = [SimpleNamespace(topic=tp.topic, timestamp=each) for each in times]
    batch = Batch(1, start, start + len(times), records, {})
    return SimpleNamespace(message=SimpleNamespace(tp=tp, partition=tp.partition), value=batch, ack=lambda: None)


async def test_a_lane_reads_both_source_topics_of_its_number(world):
    lanes, world.positions = world.lanes(), {}
    await lanes.assign({0, 1}, 1)
    lanes.open({TP(topic, number): Place(3, 4) for topic in (COMMANDS, UPSTREAM) for number in (0, 1)}, 1)
    assert lanes.lag() == {TP(topic, number): 1 for topic in (COMMANDS, UPSTREAM) for number in (0, 1)}
    lanes.put(event(TP(UPSTREAM, 1), 3, [5]))
    lanes.put(event(TP(COMMANDS, 1), 3, [1]))
    async with asyncio.timeout(5):
        while sum(len(records) for _, records in world.steps) < 2:  # noqa: ASYNC110 - the lane writes them down
            await asyncio.sleep(0.001)
    assert {number for number, _ in world.steps} == {1}
    assert [each.topic for _, records in world.steps for each in records] == [COMMANDS, UPSTREAM]
    await lanes.close()
    assert lanes.lag() == {}


async def test_a_batch_for_a_partition_without_a_lane_is_counted_as_void(world):
    before = metrics.VOID_BATCHES._value.get()
    world.lanes().put(event(TP(UPSTREAM, 5), 0, [1]))
    assert metrics.VOID_BATCHES._value.get() == before + 1


async def test_a_number_that_is_assigned_of_one_source_only_is_not_opened(world):
    lanes = world.lanes()
    await lanes.assign({0}, 1)
    with pytest.raises(RuntimeError, match=r"partition 0 is assigned of \['commands'\] only"):
        lanes.open({TP(COMMANDS, 0): Place(0, 0)}, 1)
    assert lanes.not_ready()


async def test_a_process_that_is_stopping_opens_no_lane(world):
    lanes = world.lanes()
    await lanes.assign({0}, 1)
    lanes.stopped = True
    lanes.open({TP(UPSTREAM, 0): Place(0, 0)}, 1)
    assert lanes.lag() == {}


class TestSourcesMadeAnew:
    """What was applied of a deleted topic would hide, as replays, the events of the one that has its name now."""

    @pytest.fixture
    def check(self, world, monkeypatch):
        """Check partition 0, of which `upstream` was applied up to the record 41, of 5,000 ms."""

        async def check(place, *, standing=None):
            asked = []

            async def timestamps(kafka, offsets):
                asked.extend(offsets.items())
                return dict.fromkeys(offsets, standing)

            monkeypatch.setattr(changelog, "timestamps", timestamps)
            lanes = world.lanes()
            await lanes.assign({0}, 1)
            await lanes.check_sources({TP(COMMANDS, 0): Place(0, 0), TP(UPSTREAM, 0): place})
            return asked

        return check

    @pytest.mark.parametrize("place", [Place(0, 41), Place(41, 41), Place(0, 10, is_committed=False)], ids=str)
    async def test_one_that_ends_at_or_below_what_was_applied_stops_the_process(self, check, place):
        with pytest.raises(StopProcess, match=r"made anew.*delete jobs and positions, too") as stopped:
            await check(place)
        assert stopped.value.facts == {"partitions": [f"{UPSTREAM}-0"]}

    @pytest.mark.parametrize("standing", [None, 5_001], ids=["is not there", "is another"])
    async def test_without_a_commit_the_record_that_was_applied_last_has_to_be_there(self, check, standing):
        with pytest.raises(StopProcess, match="made anew"):
            await check(Place(0, 90, is_committed=False), standing=standing)

    @pytest.mark.parametrize(
        ("place", "asked"),
        [
            (Place(42, 42), []),
            (Place(0, 90), []),
            (Place(50, 90, is_committed=False), []),
            (Place(0, 90, is_committed=False), [(TP(UPSTREAM, 0), 41)]),
            (Place(41, 90, is_committed=False), [(TP(UPSTREAM, 0), 41)]),
        ],
        ids=["at the end", "put back", "gone by retention", "without a commit", "from that record on"],
    )
    async def test_one_that_holds_what_was_applied_is_in_order(self, check, place, asked):
        assert await check(place, standing=5_000) == asked


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({COMMANDS: 8, UPSTREAM: 8, "jobs": 8}, None),
        ({COMMANDS: 8, UPSTREAM: 4, "jobs": 8}, "commands 8, x.upstream 4, jobs 8"),
        ({COMMANDS: 8, UPSTREAM: 8, "jobs": 16}, "jobs 16"),
        ({COMMANDS: 0, UPSTREAM: 0, "jobs": 0}, "commands 0"),
    ],
    ids=["alike", "a source is not", "the changelog is not", "none is there"],
)
async def test_topics_that_are_not_cut_alike_or_not_there_stop_the_process(world, monkeypatch, counts, words):
    async def partition_counts(kafka, topics):
        return {topic: counts[topic] for topic in topics}

    monkeypatch.setattr(changelog, "partition_counts", partition_counts)
    if words is None:
        await world.lanes().check_topics()
        return
    with pytest.raises(StopProcess, match=words):
        await world.lanes().check_topics()
