"""The connector on a real Kafka, against an upstream of our own over real sockets."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from unit.upstream.fake_upstream import TOKEN, FakeUpstream, until

from connectors.upstream.service import Connector
from connectors.upstream.settings import ConnectorSettings
from schemas import Observation, Result, Snapshot, Watch, utcnow
from schemas.codec import decode_observation, encode
from schemas.errors import StopProcess
from schemas.headers import headers
from schemas.settings import KafkaSettings
from schemas.topics import Topics

URL = "https://media.example/a.mp4"
SECONDS = 30


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as found:
        yield found


class World:
    """The processor's side: writes watches, reads what the connector tells."""

    def __init__(self, kafka, topics, upstream, producer, consumer) -> None:
        self.kafka, self.topics, self.upstream = kafka, topics, upstream
        self.producer, self.consumer = producer, consumer
        self.told: list[Observation] = []
        self.records = []

    async def watch(self, generation: str = "one", file_id: str | None = None, **changes) -> Watch:
        now = utcnow()
        watch = Watch(
            file_id=file_id or str(uuid.uuid4()), generation=generation, kind="video", tracked_at=now,
            deadline_at=now + timedelta(minutes=10), **changes,
        )  # fmt: skip
        await self.write(watch)
        return watch

    async def write(self, watch: Watch) -> None:
        await self.producer.send_and_wait(
            self.topics.names.watches, encode(watch), key=watch.file_id.encode(), headers=headers(watch)
        )

    async def stop(self, watch: Watch) -> None:
        await self.producer.send_and_wait(self.topics.names.watches, None, key=watch.file_id.encode())

    async def observations(self, kind, file_id: str, count: int = 1) -> list[Observation]:
        """What was told of a file, once it is so many of a kind."""
        async with asyncio.timeout(SECONDS):
            while True:
                found = [each for each in self.told if isinstance(each, kind) and each.file_id == file_id]
                if len(found) >= count:
                    return found
                record = await self.consumer.getone()
                self.records.append(record)
                if record.topic == self.topics.names.upstream:
                    self.told.append(decode_observation(record.value))

    async def dead_letter(self):
        async with asyncio.timeout(SECONDS):
            while True:
                record = await self.consumer.getone()
                if record.topic == self.topics.names.dead_letters:
                    return record

    def connector(self, **changes) -> Connector:
        settings = ConnectorSettings(
            base_url=self.upstream.url, token=TOKEN, backoff_seconds=0.05, settle_seconds=0, **changes
        )
        return Connector(settings, self.kafka, self.topics.names)

    @asynccontextmanager
    async def running(self, **changes) -> AsyncIterator[Connector]:
        """A connector that ends in good order."""
        connector, stop = self.connector(**changes), asyncio.Event()
        task = asyncio.create_task(connector.run(stop))
        try:
            yield connector
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)

    async def ready(self, connector: Connector) -> None:
        await until(lambda: connector.not_ready() is None, SECONDS)

    def open_lines(self, file_id: str) -> int:
        return sum(not each.hung_up.is_set() for each in self.upstream.lines[f"file.{file_id}"])


@pytest.fixture
async def world(kafka, topics, upstream) -> AsyncIterator[World]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    consumer = AIOKafkaConsumer(
        topics.names.upstream, topics.names.dead_letters, bootstrap_servers=kafka.servers, auto_offset_reset="earliest"
    )
    async with producer, consumer:
        yield World(kafka, topics, upstream, producer, consumer)


async def test_a_watch_appears_and_the_result_is_told_on_its_partition_with_its_headers(world):
    async with world.running() as connector:
        assert connector.not_ready() is not None
        watch = await world.watch()
        line = await world.upstream.line(f"file.{watch.file_id}")
        assert connector.not_ready() is None
        await line.say("render_result", {"url": URL})
        (result,) = await world.observations(Result, watch.file_id)
        assert (result.url, result.generation, result.source) == (URL, "one", "sse")
        await world.observations(Snapshot, watch.file_id)
        for record in world.records:
            assert record.key == watch.file_id.encode()
            assert record.partition == DefaultPartitioner()(record.key, [0, 1], [0, 1])
            assert dict(record.headers)["ce_subject"] == record.key


async def test_a_tombstone_closes_the_stream_at_the_server(world):
    async with world.running():
        watch = await world.watch()
        line = await world.upstream.line(f"file.{watch.file_id}")
        await world.stop(watch)
        await asyncio.wait_for(line.hung_up.wait(), SECONDS)
    assert len(world.upstream.connects) == 1


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_a_connector_that_starts_again_has_its_watches_back_and_no_others(world, end):
    watches = [await world.watch() for _ in range(10)]
    gone = [await world.watch() for _ in range(10)]
    for each in gone:
        await world.stop(each)
    if end == "stopped":
        async with world.running():
            for each in watches:
                await world.upstream.line(f"file.{each.file_id}")
    else:
        task = asyncio.create_task(world.connector().run(asyncio.Event()))
        for each in watches:
            await world.upstream.line(f"file.{each.file_id}")
        task.cancel()
        await asyncio.wait([task])
    for each in watches:
        await until(lambda each=each: not world.open_lines(each.file_id))
    async with world.running() as connector:
        for each in watches:
            await (await world.upstream.line(f"file.{each.file_id}", 2)).say("render_result", {"url": URL})
        for each in watches:
            await world.observations(Result, each.file_id)
        await world.ready(connector)
        assert not any(world.upstream.lines[f"file.{each.file_id}"] for each in gone)


async def test_only_the_last_word_on_a_file_is_watched(world):
    watch = await world.watch(generation="one")
    await world.watch(generation="two", file_id=watch.file_id)
    async with world.running():
        line = await world.upstream.line(f"file.{watch.file_id}")
        await line.say("render_result", {"url": URL})
        (result,) = await world.observations(Result, watch.file_id)
        assert result.generation == "two"
        assert {each.generation for each in world.told} == {"two"}


async def test_a_partition_that_ends_in_transaction_markers_and_aborted_records_is_read_to_its_end(world):
    kept, dropped = await world.watch(), await world.watch()
    writer = AIOKafkaProducer(bootstrap_servers=world.kafka.servers, transactional_id=f"t-{uuid.uuid4()}")
    topic = world.topics.names.watches
    async with writer:
        async with writer.transaction():
            for each in (kept, dropped):
                await writer.send(topic, encode(each), key=each.file_id.encode())
        await writer.begin_transaction()
        await writer.send_and_wait(topic, None, key=kept.file_id.encode())
        await writer.abort_transaction()
        async with writer.transaction():
            await writer.send(topic, None, key=dropped.file_id.encode())
    async with world.running() as connector:
        await world.ready(connector)
        await world.upstream.line(f"file.{kept.file_id}")
        assert not world.upstream.lines[f"file.{dropped.file_id}"]


async def test_two_connectors_share_the_watches_and_a_newcomer_breaks_only_the_streams_it_takes(world):
    earlier = [await world.watch(generation="one") for _ in range(20)]
    watches = [await world.watch(generation="two", file_id=each.file_id) for each in earlier]
    async with world.running() as first:
        for each in watches:
            await world.upstream.line(f"file.{each.file_id}")
            await until(lambda each=each: world.upstream.looks(each.file_id) == 1)
        async with world.running() as second:
            await world.ready(second)
            await until(
                lambda: (
                    sum(len(lines) for lines in world.upstream.lines.values()) > 20
                    and all(world.open_lines(each.file_id) == 1 for each in watches)
                ),
                SECONDS,
            )
            # Streams and looks of each file, by partition: those that stayed had one of each, the others a second.
            by_partition: dict[int, set[tuple[int, int]]] = {0: set(), 1: set()}
            await until(lambda: len({world.upstream.looks(each.file_id) for each in watches}) == 2)
            await until(
                lambda: sum(world.upstream.looks(each.file_id) for each in watches) == len(world.upstream.connects)
            )
            for each in watches:
                partition = DefaultPartitioner()(each.file_id.encode(), [0, 1], [0, 1])
                streams = len(world.upstream.lines[f"file.{each.file_id}"])
                by_partition[partition].add((streams, world.upstream.looks(each.file_id)))
            assert sorted(by_partition.values(), key=min) == [{(1, 1)}, {(2, 2)}]
            assert first.not_ready() is None
        # The second has left: all its watches come back to the first.
        await until(lambda: all(world.open_lines(each.file_id) == 1 for each in watches), SECONDS)


async def test_a_record_that_is_no_watch_goes_to_the_dead_letters_and_the_partition_goes_on(world):
    watch = await world.watch()
    partition = DefaultPartitioner()(watch.file_id.encode(), [0, 1], [0, 1])
    topic = world.topics.names.watches
    bad = await world.producer.send_and_wait(topic, b'{"file_id": 7}', key=watch.file_id.encode())
    await world.producer.send_and_wait(topic, encode(watch), key=b"tool", partition=partition)
    async with world.running():
        await world.upstream.line(f"file.{watch.file_id}")
        letters = {dict(each.headers)["reason"]: each for each in [await world.dead_letter() for _ in range(2)]}
    assert letters.keys() == {b"invalid", b"bad_key"}
    assert letters[b"invalid"].value == b'{"file_id": 7}'
    found = dict(letters[b"invalid"].headers)
    assert (found["topic"], found["partition"]) == (topic.encode(), b"%d" % bad.partition)
    assert found["offset"] == b"%d" % bad.offset


async def test_a_check_and_a_new_deadline_reach_a_running_watch(world):
    async with world.running():
        watch = await world.watch()
        await world.observations(Snapshot, watch.file_id)
        await world.write(watch.model_copy(update={"check": 1}))
        found = await world.observations(Snapshot, watch.file_id, 2)
        assert [each.source for each in found] == ["poll", "check"]


async def test_offsets_are_never_committed(world):
    async with world.running() as connector:
        await world.watch()
        await world.ready(connector)
        await until(lambda: world.upstream.connects, SECONDS)
        group = world.topics.prefix + "connector"
        reader = AIOKafkaConsumer(bootstrap_servers=world.kafka.servers, group_id=group, enable_auto_commit=False)
        await reader.start()
        try:
            partitions = [TopicPartition(world.topics.names.watches, each) for each in (0, 1)]
            reader.assign(partitions)
            assert [await reader.committed(each) for each in partitions] == [None, None]
        finally:
            await reader.stop()


async def test_without_a_broker_it_stops_with_a_clear_error(upstream):
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1", start_timeout_seconds=1)
    connector = Connector(ConnectorSettings(base_url=upstream.url), nowhere, Topics("nowhere."))
    with pytest.raises(StopProcess, match=r"no Kafka broker lets us in at 127\.0\.0\.1:1"):
        await asyncio.wait_for(connector.run(asyncio.Event()), 15)
