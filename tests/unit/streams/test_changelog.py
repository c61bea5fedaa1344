"""Reading a changelog: it ends where the partition does, whatever stands there. (On Kafka: integration/streams.)"""

import asyncio
from types import SimpleNamespace

import pytest

from schemas.settings import KafkaSettings
from streams.exactly_once import changelog as room
from streams.exactly_once.changelog import Progress, load

MARKER = None
"""An offset that is never delivered: a transaction's marker, an aborted record, one that compaction took away."""


def put(key, value=b"v"):
    return (key.encode(), value)


class Broker:
    """One partition per number, as aiokafka shows them: a fetch brings what is delivered of `size` offsets."""

    def __init__(self, partitions, begin=0, size=2):
        self.partitions, self.begin, self.size = partitions, begin, size
        self.settings = {}
        self.positions, self.polls, self.paused, self.stopped = {}, 0, set(), False
        self.on_fetch = lambda: None
        self.empty_polls = 0  # answers without anything, before the first with something

    def __call__(self, **settings):
        self.settings = settings
        return self

    async def start(self):
        pass

    async def stop(self):
        self.stopped = True

    def assign(self, tps):
        pass

    def _end(self, tp):
        return self.begin + len(self.partitions[tp.partition])

    async def beginning_offsets(self, tps):
        return dict.fromkeys(tps, self.begin)

    async def end_offsets(self, tps):
        return {tp: self._end(tp) for tp in tps}

    def seek(self, tp, offset):
        self.positions[tp] = offset

    def pause(self, *tps):
        self.paused.update(tps)

    async def position(self, tp):
        return self.positions[tp]

    async def getmany(self, *tps, timeout_ms, max_records):
        assert not set(tps) & self.paused
        await asyncio.sleep(0)
        self.polls += 1
        self.on_fetch()
        if self.polls <= self.empty_polls:
            return {}
        found = {}
        for tp in tps:
            first = self.positions[tp]
            self.positions[tp] = min(first + self.size, self._end(tp))  # over what is not delivered, too
            log = enumerate(self.partitions[tp.partition], self.begin)
            records = [
                SimpleNamespace(topic=tp.topic, partition=tp.partition, offset=offset, key=each[0], value=each[1])
                for offset, each in log if first <= offset < self.positions[tp] and each is not MARKER
            ]  # fmt: skip
            if records:
                found[tp] = records
        return found


@pytest.fixture
def reading(monkeypatch):
    """Load the partitions of a broker. A load that does not end is a failure."""

    async def read(broker, numbers=None, **fields):
        monkeypatch.setattr(room, "AIOKafkaConsumer", broker)
        async with asyncio.timeout(5):
            return await load(
                KafkaSettings(), "jobs", sorted(broker.partitions if numbers is None else numbers), **fields
            )

    return read


@pytest.mark.parametrize(
    ("log", "rows"),
    [
        ([], {}),
        ([put("a"), put("b"), put("a", b"2")], {b"a": b"2", b"b": b"v"}),
        ([put("a"), put("b"), put("a", None)], {b"b": b"v"}),
        ([put("a", None)], {}),
        ([put("a", None), put("a", b"3")], {b"a": b"3"}),
        ([put("a"), MARKER, put("b"), MARKER], {b"a": b"v", b"b": b"v"}),
        ([put("a"), MARKER, MARKER, MARKER, MARKER], {b"a": b"v"}),
        ([MARKER, MARKER], {}),
    ],
    ids=[
        "empty", "the last value of each key", "tombstones", "only a tombstone", "written again", "markers",
        "much at the end that is never delivered", "nothing that is ever delivered",
    ],
)  # fmt: skip
@pytest.mark.parametrize("begin", [0, 40], ids=["from 0", "from a later beginning"])
async def test_the_rows_are_the_last_values_as_of_the_end(reading, log, rows, begin):
    assert await reading(Broker({0: log}, begin)) == {0: rows}


async def test_partitions_end_each_at_its_own_place(reading):
    broker = Broker({0: [put(f"a{each}") for each in range(9)], 1: [put("b"), MARKER], 2: []})
    found = await reading(broker)
    assert {number: len(rows) for number, rows in found.items()} == {0: 9, 1: 1, 2: 0}
    assert broker.stopped


async def test_answers_without_records_are_no_end(reading):
    """The broker is slow, or a transaction is still open: the load ends when the position is at the end."""
    broker = Broker({0: [put("a"), put("b")]})
    broker.empty_polls = 30
    assert await reading(broker) == {0: {b"a": b"v", b"b": b"v"}}
    assert broker.polls > 30


async def test_what_comes_behind_the_end_while_it_reads_is_not_waited_for(reading):
    """Nobody else writes there any more; a record of ours would be read at once."""
    broker = Broker({0: [put("a")] * 4})

    def grow():
        if len(broker.partitions[0]) < 40:
            broker.partitions[0].append(put("b"))

    broker.on_fetch = grow
    await reading(broker)
    assert broker.polls == 2


async def test_only_committed_records_are_asked_for_and_no_group_is_joined(reading):
    broker = Broker({0: [put("a")]})
    await reading(broker)
    assert broker.settings["isolation_level"] == "read_committed"
    assert broker.settings["enable_auto_commit"] is False
    assert "group_id" not in broker.settings


async def test_progress_is_told_in_offsets_because_not_all_of_them_are_records(reading):
    progress = Progress()
    await reading(Broker({0: [put("a"), MARKER, put("a"), MARKER], 1: [put("b")]}, begin=7), progress=progress)
    assert (progress.offsets, progress.of, progress.records) == (5, 5, 3)


async def test_no_partitions_need_no_consumer(reading):
    broker = Broker({0: [put("a")]})
    assert await reading(broker, []) == {}
    assert broker.settings == {}
