"""Readers that come back with `Last-Event-ID`, on a real Kafka: to a gateway that was restarted, or to another one."""

import asyncio
import contextlib
import time
import uuid
from collections import Counter

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from httpx_sse import EventSource

from connectors.gateway import metrics
from connectors.gateway.gateway import Gateway
from connectors.gateway.settings import GatewaySettings
from rendercast import topics as admin
from schemas import Job, utcnow
from schemas.codec import encode
from schemas.settings import TopicSettings

SECONDS = 60
PARTITIONS = 8


def make_job(number, version=1, **fields):
    now = utcnow()
    known = {"generation": "g1", "kind": "video", "status": "processing", "deadline_at": now, "tracked_at": now}
    named = {"file_id": file_of(number), "project_id": f"p{number % 10}", "version": version, "updated_at": now}
    return Job(**{**known, **named, **fields})


def file_of(number):
    return f"00000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def wide(kafka):
    settings = TopicSettings(prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=PARTITIONS)
    asyncio.run(admin.apply(kafka, settings))
    yield settings
    asyncio.run(admin.delete(kafka, settings))


class Running:
    """A gateway that can be stopped and started again, on another port."""

    def __init__(self, kafka, topics, **settings):
        self._known = GatewaySettings(port=0, auth="off", **settings), kafka, topics.names
        self.url = None

    async def start(self):
        self.gateway, self._stop = Gateway(*self._known), asyncio.Event()
        self._task = asyncio.create_task(self.gateway.run(self._stop))
        async with asyncio.timeout(SECONDS):
            while self.gateway.not_ready() is not None:
                assert not self._task.done(), self._task.exception()
                await asyncio.sleep(0.02)
        self.url = f"http://127.0.0.1:{self.gateway.port}/api/events"

    async def stop(self):
        self.url = None
        self._stop.set()
        async with asyncio.timeout(SECONDS):
            await self._task

    async def kill(self):
        """Nobody is told anything, and connections break."""
        self.url = None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for connection in list(self.gateway._server._server.server_state.connections):
            connection.transport.abort()


@contextlib.asynccontextmanager
async def running(kafka, topics, **settings):
    found = Running(kafka, topics, **settings)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


@contextlib.asynccontextmanager
async def producing(kafka, **options):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, acks="all", linger_ms=2, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def write(producer, topics, *jobs, forget=()):
    """As the processor writes: a transaction, with its markers."""
    async with producer.transaction():
        sent = [(each.file_id, encode(each)) for each in jobs] + [(file_of(each), None) for each in forget]
        for key, value in sent:
            await producer.send(topics.names.jobs, key=key.encode(), value=value)


async def until(holds):
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.02)


class Reader:
    """A client that comes back, each time to the next gateway, and keeps what it was told."""

    def __init__(self, http, gateways, channel, first):
        self._http, self._gateways, self._channel, self._next = http, gateways, channel, first
        self.events, self.known, self.wrong = Counter(), {}, []
        self.last_id = None

    async def run(self):
        while True:
            url = self._gateways[self._next % len(self._gateways)].url
            self._next += 1
            if url:
                with contextlib.suppress(httpx.TransportError):
                    await self.read(url)
            await asyncio.sleep(0.05)

    async def read(self, url, count=None):
        """Until the stream ends, or for so many events."""
        sent = {"last-event-id": self.last_id} if self.last_id else {}
        async with self._http.stream("GET", url, params={"channel": self._channel}, headers=sent) as response:
            if response.status_code != 200:
                return
            async for event in EventSource(response).aiter_sse():
                if event.data:
                    self.hear(event)
                    count = count and count - 1
                    if count == 0:
                        return

    def hear(self, event):
        self.last_id = event.id or self.last_id
        self.events[event.event] += 1
        data = event.json()
        match event.event:
            case "snapshot":
                self.known = {each["file_id"]: each["version"] for each in data["jobs"]}
            case "gone":
                self.known.pop(data["file_id"], None)
            case "job":
                if data["version"] <= self.known.get(data["file_id"], 0):
                    self.wrong.append((self._channel, data["file_id"], data["version"], self.known[data["file_id"]]))
                self.known[data["file_id"]] = data["version"]


@contextlib.asynccontextmanager
async def client():
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=SECONDS, limits=limits) as http:
        yield http


async def comes_back(http, gateway, channel, last_event_id, count):
    """What a reader is told that comes with this id."""
    reader = Reader(http, [], channel, 0)
    reader.last_id = last_event_id
    async with asyncio.timeout(SECONDS):
        await reader.read(gateway.url, count)
    return reader


async def test_readers_that_come_back_to_either_gateway_miss_nothing_and_hear_nothing_twice(kafka, wide):
    files, last = range(40), 10
    async with (
        client() as http,
        producing(kafka, transactional_id=f"{wide.prefix}tx") as producer,
        running(kafka, wide) as first,
        running(kafka, wide) as second,
    ):
        await write(producer, wide, *(make_job(each) for each in files))
        gateways = [first, second]
        readers = [Reader(http, gateways, f"project.p{each % 10}", each) for each in range(100)]
        readers += [Reader(http, gateways, f"file.{file_of(each % 40)}", each) for each in range(100)]
        tasks = [asyncio.create_task(each.run()) for each in readers]
        await until(lambda: all(each.events["snapshot"] for each in readers))
        snapshots = sum(each.events["snapshot"] for each in readers)

        async def change():
            for version in range(2, last + 1):
                for some in (files[:20], files[20:]):
                    await write(producer, wide, *(make_job(each, version) for each in some))
                    await asyncio.sleep(0.05)

        changing = asyncio.create_task(change())
        for gateway, end in ((first, first.kill), (second, second.stop)):
            heard = {each: each.events["job"] for each in readers}
            await until(
                lambda heard=heard: changing.done() or all(each.events["job"] > heard[each] for each in readers)
            )
            await end()
            await gateway.start()
        await changing
        await until(lambda: all(set(each.known.values()) == {last} for each in readers))
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [each.wrong for each in readers if each.wrong] == []
    assert sum(each.events["gap"] for each in readers) == 0
    assert sum(each.events["snapshot"] for each in readers) == snapshots


async def test_jobs_that_are_held_no_longer_come_from_kafka(kafka, wide):
    complete = metrics.PAST_READS.labels("complete")
    async with (
        client() as http,
        producing(kafka, transactional_id=f"{wide.prefix}tx") as producer,
        running(kafka, wide, max_jobs=5) as gateway,
    ):
        await write(producer, wide, make_job(1), make_job(11))
        await until(lambda: len(gateway.gateway._board.view) == 2)
        ids = {
            channel: (await comes_back(http, gateway, channel, None, 1)).last_id
            for channel in ("project.p1", f"file.{file_of(11)}")
        }
        await write(producer, wide, make_job(1, 2), make_job(11, 2, outcome="completed", finished_at=utcnow()))
        await write(producer, wide, *(make_job(each) for each in (22, 23, 24, 25, 26, 27, 28, 29)))
        await write(producer, wide, make_job(21, 7))
        board = gateway.gateway._board
        await until(lambda: board.view.get(file_of(21)) and not board.view.get(file_of(1)))
        for _ in range(2):
            before = complete._value.get()
            reader = await comes_back(http, gateway, "project.p1", ids["project.p1"], 3)
            assert reader.events == {"job": 3}
            assert reader.known == {file_of(1): 2, file_of(11): 2, file_of(21): 7}
            alone = await comes_back(http, gateway, f"file.{file_of(11)}", ids[f"file.{file_of(11)}"], 1)
            assert (alone.events, alone.known) == ({"job": 1}, {file_of(11): 2})
            assert complete._value.get() == before + 2
            await gateway.kill()
            await gateway.start()


@pytest.mark.parametrize("bounds", [{"resume_records": 1}, {"resume_bytes": 1}, {"resume_seconds": 0.001}])
async def test_what_would_take_too_much_reading_is_a_gap(kafka, wide, bounds):
    async with (
        client() as http,
        producing(kafka, transactional_id=f"{wide.prefix}tx") as producer,
        running(kafka, wide, max_jobs=1, **bounds) as gateway,
    ):
        await write(producer, wide, make_job(1))
        await until(lambda: len(gateway.gateway._board.view) == 1)
        last = (await comes_back(http, gateway, "project.p1", None, 1)).last_id
        for version in (2, 3, 4):
            await write(producer, wide, make_job(1, version))
        await write(producer, wide, make_job(2))
        await until(lambda: gateway.gateway._board.view.get(file_of(2)))
        reader = await comes_back(http, gateway, "project.p1", last, 2)
        assert reader.events == {"gap": 1, "snapshot": 1}


@contextlib.asynccontextmanager
async def administering(kafka):
    found = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await found.start()
    try:
        yield found
    finally:
        await found.close()


async def test_ids_of_a_topic_that_was_made_anew_say_nothing_even_where_their_places_are_there(kafka, wide):
    async with (
        client() as http,
        producing(kafka, transactional_id=f"{wide.prefix}tx") as producer,
        running(kafka, wide) as gateway,
    ):
        await write(producer, wide, make_job(1))
        await until(lambda: len(gateway.gateway._board.view) == 1)
        channels = ("all", "project.p1", f"file.{file_of(1)}")
        ids = {each: (await comes_back(http, gateway, each, None, 1)).last_id for each in channels}
        await gateway.kill()
        async with administering(kafka) as administrator:
            await administrator.delete_topics([wide.names.jobs])
            async with asyncio.timeout(SECONDS):
                while wide.names.jobs in await administrator.list_topics():  # noqa: ASYNC110 - nothing else tells
                    await asyncio.sleep(0.05)
            await administrator.create_topics([NewTopic(wide.names.jobs, PARTITIONS, 1)])
        async with producing(kafka, transactional_id=f"{wide.prefix}tx2") as another:
            for version in range(1, 4):
                await write(another, wide, *(make_job(each, version) for each in range(20)))
        await gateway.start()
        for each in channels:
            assert (await comes_back(http, gateway, each, ids[each], 2)).events == {"gap": 1, "snapshot": 1}


async def test_what_was_compacted_away_without_a_trace_of_whose_it_was_is_a_gap(kafka, wide):
    """The job and its end are gone, only its tombstone is there: it could have been anybody's."""
    async with administering(kafka) as administrator:
        quick = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "100"}
        resource = ConfigResource(ConfigResourceType.TOPIC, wide.names.jobs, quick | {"cleanup.policy": "compact"})
        await administrator.alter_configs([resource])
    async with (
        client() as http,
        producing(kafka, transactional_id=f"{wide.prefix}tx") as producer,
        running(kafka, wide) as gateway,
    ):
        await write(producer, wide, make_job(1))
        await until(lambda: len(gateway.gateway._board.view) == 1)
        last = (await comes_back(http, gateway, "project.p1", None, 1)).last_id
        await write(producer, wide, forget=[1])
        await until(lambda: len(gateway.gateway._board.view) == 0)
        assert (await comes_back(http, gateway, "project.p1", last, 1)).events == {"gone": 1}
        partition = (gateway.gateway._board.view.last_of(file_of(1))).partition
        async with asyncio.timeout(SECONDS):
            while await documents(kafka, wide, partition):
                # Only what stands before the segment that is written to is cleaned.
                await producer.begin_transaction()
                await producer.send(wide.names.jobs, key=b"x", value=b"{", partition=partition)
                await producer.commit_transaction()
                await asyncio.sleep(0.2)
        await gateway.kill()
        await gateway.start()
        assert (await comes_back(http, gateway, "project.p1", last, 2)).events == {"gap": 1, "snapshot": 1}


async def test_before_what_kafka_surely_still_has_is_a_gap_and_behind_it_is_not(kafka, wide):
    """Tombstones are kept for a day: what was forgotten earlier may have left nothing."""

    async def write_old(job, days_ago):  # without a transaction, whose marker would be of today
        at, key = int((time.time() - days_ago * 86_400) * 1000), job.file_id.encode()
        await producer.send_and_wait(wide.names.jobs, key=key, value=encode(job), timestamp_ms=at)

    async with client() as http, producing(kafka) as producer, running(kafka, wide) as gateway:
        await write_old(make_job(1), 3)
        await until(lambda: len(gateway.gateway._board.view) == 1)
        channels = ("project.p1", f"file.{file_of(1)}")
        ids = {each: (await comes_back(http, gateway, each, None, 1)).last_id for each in channels}
        await write_old(make_job(1, 2), 2)
        await gateway.kill()
        await gateway.start()
        assert (await comes_back(http, gateway, channels[1], ids[channels[1]], 1)).events == {"job": 1}
        anew = await comes_back(http, gateway, channels[0], ids[channels[0]], 2)
        assert anew.events == {"gap": 1, "snapshot": 1}
        await gateway.kill()
        await gateway.start()
        await write_old(make_job(1, 3), 0)
        again = await comes_back(http, gateway, channels[0], anew.last_id, 1)
        assert (again.events, again.known) == ({"job": 1}, {file_of(1): 3})


async def documents(kafka, topics, partition):
    """How many records of the first job that are no tombstones still stand in the partition."""
    at = TopicPartition(topics.names.jobs, partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.servers, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign([at])
        await consumer.seek_to_beginning(at)
        end, found = (await consumer.end_offsets([at]))[at], 0
        while await consumer.position(at) < end:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += sum(each.key == file_of(1).encode() and each.value is not None for each in records)
        return found
    finally:
        await consumer.stop()
