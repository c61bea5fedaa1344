"""The work list of a partition, with a consumer that hands out what the test has laid in."""

import asyncio
from collections import deque
from dataclasses import dataclass

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError
from unit.upstream.fake_upstream import Letters, until

from connectors.upstream import metrics
from connectors.upstream.reconciler import Reconciler
from schemas.codec import encode
from schemas.errors import StopProcess

FILE = "998d5ae4-0000-4000-8000-000000000001"
OTHER = "998d5ae4-0000-4000-8000-000000000002"
ZERO, ONE = TopicPartition("watches", 0), TopicPartition("watches", 1)


@dataclass
class Record:
    key: bytes
    value: bytes | None
    offset: int
    topic: str = "watches"
    partition: int = 0
    timestamp: int = 5_000


class Consumer:
    """`batches` are what getmany gives, one a call; an exception among them is raised."""

    def __init__(self) -> None:
        self.batches: deque = deque()
        self.assigned: set[TopicPartition] = set()
        self.ends: dict[TopicPartition, int] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.seeks: list[tuple[TopicPartition, int]] = []

    def subscribe(self, topics, listener):
        self.topics = topics

    def assignment(self):
        return self.assigned

    async def getmany(self, timeout_ms):
        await asyncio.sleep(0.001)
        found = self.batches.popleft() if self.batches else {}
        if isinstance(found, Exception):
            raise found
        return found

    async def end_offsets(self, partitions):
        return {each: self.ends[each] for each in partitions}

    async def position(self, partition):
        return self.positions.get(partition, 0)

    def highwater(self, partition):
        return self.ends.get(partition)

    def seek(self, partition, offset):
        self.seeks.append((partition, offset))


class Fleet:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def put(self, watch, partition=None):
        self.calls.append(("put", f"{watch.file_id} {watch.generation}"))

    def drop(self, file_id):
        self.calls.append(("drop", file_id))


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
async def reconciler(consumer, fleet):
    found = Reconciler(consumer, "watches", fleet, Letters())
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    await asyncio.wait([task])


def assign(reconciler, consumer, *partitions):
    consumer.assigned = set(partitions)
    reconciler.on_partitions_revoked(consumer.assigned)
    reconciler.on_partitions_assigned(consumer.assigned)


async def test_nothing_is_started_that_a_later_record_of_the_partition_ends(reconciler, consumer, fleet, make_watch):
    watch, other = make_watch(FILE), make_watch(OTHER)
    consumer.ends = {ZERO: 4}
    assert "no partitions" in reconciler.not_ready()
    assign(reconciler, consumer, ZERO)
    assert reconciler.not_ready() == "reads its watches: partitions 0"
    for batch in (
        [Record(FILE.encode(), encode(watch), 0), Record(OTHER.encode(), encode(other), 1)],
        [Record(OTHER.encode(), encode(make_watch(OTHER, generation="two")), 2)],
        [Record(FILE.encode(), None, 3)],
    ):
        consumer.batches.append({ZERO: batch})
    await until(lambda: reconciler.not_ready() is None)
    assert fleet.calls == [("put", f"{OTHER} two")]


async def test_a_loaded_partition_is_made_true_record_by_record(reconciler, consumer, fleet, make_watch):
    consumer.ends = {ZERO: 0}
    assign(reconciler, consumer, ZERO)
    await until(lambda: reconciler.not_ready() is None)
    consumer.batches.append({
        ZERO: [Record(FILE.upper().encode(), encode(make_watch(FILE)), 0), Record(FILE.encode(), None, 1)]
    })  # fmt: skip
    await until(lambda: len(fleet.calls) == 2)
    assert fleet.calls == [("put", f"{FILE} one"), ("drop", FILE)]


async def test_a_partition_that_ends_in_markers_is_at_its_end_where_the_client_says_so(
    reconciler, consumer, fleet, make_watch
):
    consumer.ends = {ZERO: 5}
    assign(reconciler, consumer, ZERO)
    consumer.batches.append({ZERO: [Record(FILE.encode(), encode(make_watch(FILE)), 0)]})
    await until(lambda: not consumer.batches)
    assert reconciler.not_ready() is not None
    consumer.positions[ZERO] = 5
    await until(lambda: reconciler.not_ready() is None)
    assert fleet.calls == [("put", f"{FILE} one")]


async def test_a_lost_partitions_watches_end_at_once_and_a_kept_one_is_read_on_where_it_was(
    reconciler, consumer, fleet, make_watch
):
    consumer.ends = {ZERO: 1, ONE: 1}
    assign(reconciler, consumer, ZERO, ONE)
    consumer.batches.append({
        ZERO: [Record(FILE.encode(), encode(make_watch(FILE)), 0)],
        ONE: [Record(OTHER.encode(), encode(make_watch(OTHER)), 0, partition=1)],
    })  # fmt: skip
    await until(lambda: reconciler.not_ready() is None)
    fleet.calls.clear()
    assign(reconciler, consumer, ZERO)
    assert fleet.calls == [("drop", OTHER)]
    assert consumer.seeks == [(ZERO, 1)]
    consumer.batches.append({ONE: [Record(OTHER.encode(), encode(make_watch(OTHER)), 1, partition=1)]})
    await until(lambda: not consumer.batches)
    await until(lambda: reconciler.not_ready() is None)
    assert fleet.calls == [("drop", OTHER)]


async def test_kafka_trouble_that_passes_is_waited_out_and_other_trouble_needs_an_operator(
    consumer, fleet, make_watch, monkeypatch
):
    monkeypatch.setattr("connectors.upstream.reconciler._RETRY_SECONDS", 0.01)
    reconciler = Reconciler(consumer, "watches", fleet, Letters())
    consumer.ends = {ZERO: 0}
    assign(reconciler, consumer, ZERO)
    consumer.batches += [
        KafkaTimeoutError(),
        {ZERO: [Record(FILE.encode(), encode(make_watch(FILE)), 0)]},
        TopicAuthorizationFailedError("watches"),
    ]
    with pytest.raises(StopProcess, match="cannot read watches"):
        await asyncio.wait_for(reconciler.run(), 5)
    assert fleet.calls == [("put", f"{FILE} one")]


async def test_its_lag_is_told_in_records_and_in_the_age_of_what_was_read_last(reconciler, consumer, make_watch):
    def lag():
        return metrics.LAG._value.get(), metrics.LAG_SECONDS.collect()[0].samples[0].value

    consumer.ends, consumer.positions = {ZERO: 4}, {ZERO: 1}
    assign(reconciler, consumer, ZERO)
    consumer.batches.append({ZERO: [Record(FILE.encode(), encode(make_watch(FILE)), 0)]})
    await until(lambda: lag()[0] == 3 and lag()[1] > 1e6)
    consumer.positions = {ZERO: 4}
    await until(lambda: lag() == (0, 0))
