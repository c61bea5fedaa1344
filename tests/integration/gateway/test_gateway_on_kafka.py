"""The gateway between a real Kafka and real sockets."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from httpx_sse import EventSource

from connectors.gateway.gateway import Gateway
from connectors.gateway.settings import GatewaySettings
from rendercast import topics as admin
from rendercast.broker.local import LocalBroker
from schemas import Job, utcnow
from schemas.codec import decode_command, encode
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, TopicSettings

SECONDS = 30


def make_job(file_id: str, version: int = 1, **fields) -> Job:
    now = utcnow()
    known = {"generation": "g1", "kind": "video", "status": "processing", "deadline_at": now, "tracked_at": now}
    return Job(**{**known, "file_id": file_id, "version": version, "updated_at": now, **fields})


async def until(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(kafka, topics, **settings):
    """A gateway that is ready, and a client for it; stopped in an orderly way."""
    gateway = Gateway(GatewaySettings(port=0, auth="off", **settings), kafka, topics.names)
    stop = asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    try:
        await until(lambda: task.done() or gateway.not_ready() is None)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=SECONDS) as http:
            yield gateway, http
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


@contextlib.asynccontextmanager
async def producing(kafka, **options):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, acks="all", **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def write(producer, topics, *jobs):
    """The jobs as the processor writes them; returns their places."""
    places = []
    for job in jobs:
        told = await producer.send_and_wait(topics.names.jobs, key=job.file_id.encode(), value=encode(job))
        places.append(f"{told.partition}:{told.offset}")
    return places


@contextlib.asynccontextmanager
async def following(http, channel, last_event_id=None):
    """next(): the next event of the stream that has data."""
    sent = {"last-event-id": last_event_id} if last_event_id else {}
    async with http.stream("GET", f"/api/events/{channel}", headers=sent) as response:
        events = EventSource(response).aiter_sse()

        async def following_event():
            async with asyncio.timeout(SECONDS):
                while not (event := await anext(events)).data:
                    pass
            return event

        yield following_event


def place(event):
    """What its id begins with: partition and offset."""
    return event.id.partition(".")[0]


@pytest.fixture
def file_id():
    return str(uuid.uuid4())


async def test_commands_stand_on_their_topic_under_the_file_when_they_are_accepted(kafka, topics, file_id):
    async with running(kafka, topics) as (_, http):
        track = {"file_id": file_id.upper(), "kind": "image", "request_id": "r1"}
        answers = [
            await http.post("/api/jobs", json=track),
            await http.post(f"/api/jobs/{file_id}/check"),
            await http.delete(f"/api/jobs/{file_id}"),
        ]
    assert [each.status_code for each in answers] == [202] * 3
    consumer = AIOKafkaConsumer(
        topics.names.commands, bootstrap_servers=kafka.servers, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        async with asyncio.timeout(SECONDS):
            records = [await consumer.getone() for _ in range(3)]
    finally:
        await consumer.stop()
    assert {each.key for each in records} == {file_id.encode()}
    assert len({each.partition for each in records}) == 1
    assert [decode_command(each.value).type for each in records] == ["track", "check", "cancel"]
    assert [dict(each.headers)["ce_type"].rpartition(b".")[2] for each in records] == [b"track", b"check", b"cancel"]


async def test_a_record_on_jobs_becomes_an_event(kafka, topics, file_id):
    async with (
        running(kafka, topics) as (_, http),
        producing(kafka) as producer,
        following(http, f"file.{file_id}") as event,
    ):
        assert (await event()).json()["jobs"] == []
        [written] = await write(producer, topics, make_job(file_id, progress=40, applied={"upstream": 3}))
        told = await event()
        assert (told.event, place(told), told.json()["progress"]) == ("job", written, 40)
        assert "applied" not in told.json()
        assert (await http.get(f"/api/jobs/{file_id}")).json() == told.json()


async def test_after_a_restart_the_view_is_back_and_a_reader_gets_the_state_that_it_missed(kafka, topics, file_id):
    other = str(uuid.uuid4())
    async with producing(kafka) as producer:
        async with running(kafka, topics) as (_, http):
            first, *_ = await write(producer, topics, make_job(file_id), make_job(other))
            async with following(http, f"file.{file_id}") as event:
                snapshot = await event()
                assert place(snapshot) == first
        *_, missed = await write(
            producer, topics, make_job(file_id, 2, progress=10), make_job(other, 2), make_job(file_id, 3, progress=20)
        )
        async with running(kafka, topics) as (_, http):
            assert {each["file_id"] for each in (await http.get("/api/jobs")).json()["jobs"]} == {file_id, other}
            async with following(http, f"file.{file_id}", snapshot.id) as event:
                told = [await event()]
                [last] = await write(producer, topics, make_job(file_id, 4, progress=30))
                told.append(await event())
    assert [(each.event, place(each)) for each in told] == [("job", missed), ("job", last)]


async def test_a_topic_that_ends_in_markers_and_aborted_records_is_read_to_its_end(kafka, topics, file_id):
    async with producing(kafka, transactional_id=f"{topics.prefix}tx") as producer:
        async with producer.transaction():
            await write(producer, topics, make_job(file_id, progress=1))
        await producer.begin_transaction()
        await write(producer, topics, make_job(file_id, 2, progress=99))
        await producer.abort_transaction()
    async with running(kafka, topics) as (_, http):
        assert (await http.get(f"/api/jobs/{file_id}")).json()["progress"] == 1


async def test_an_open_transaction_does_not_hold_up_readiness(kafka, topics, file_id):
    async with producing(kafka, transactional_id=f"{topics.prefix}tx") as producer:
        await producer.begin_transaction()
        await write(producer, topics, make_job(file_id))
        async with running(kafka, topics) as (_, http):
            assert (await http.get(f"/api/jobs/{file_id}")).status_code == 404
            async with following(http, f"file.{file_id}") as event:
                await event()
                await producer.commit_transaction()
                assert (await event()).event == "job"


async def test_records_that_are_no_jobs_are_left_out_and_tombstones_forget(kafka, topics, file_id):
    async with producing(kafka) as producer:
        for value in (b"{", b"[]", b'{"file_id": "x"}', orjson.dumps({"file_id": file_id})):
            await producer.send_and_wait(topics.names.jobs, key=file_id.encode(), value=value)
        await write(producer, topics, make_job(file_id))
        async with running(kafka, topics) as (_, http), following(http, "all") as event:
            assert (await event()).json()["total"] == 1
            await producer.send_and_wait(topics.names.jobs, key=file_id.encode(), value=None)
            gone = await event()
            assert (gone.event, gone.json()) == ("gone", {"file_id": file_id})
            assert (await http.get(f"/api/jobs/{file_id}")).status_code == 404


async def test_missing_topics_stop_the_process_and_are_not_made(kafka):
    topics = TopicSettings(prefix=f"none-{uuid.uuid4().hex[:8]}.")
    with pytest.raises(StopProcess, match=f"missing topics: {topics.names.commands}, {topics.names.jobs}"):
        await Gateway(GatewaySettings(port=0, auth="off"), kafka, topics.names).run(asyncio.Event())
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await client.start()
    try:
        assert not [each for each in await client.list_topics() if each.startswith(topics.prefix)]
    finally:
        await client.close()


async def test_a_topic_that_is_made_anew_is_read_anew_and_readers_are_asked_to_come_back(kafka, topics, file_id):
    async with producing(kafka) as producer, running(kafka, topics) as (gateway, http):
        async with following(http, "all") as event:
            await event()
            await write(producer, topics, make_job(file_id))
            assert (await event()).event == "job"
            client = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
            await client.start()
            await client.delete_topics([topics.names.jobs])
            async with asyncio.timeout(SECONDS):
                while topics.names.jobs in await client.list_topics():  # noqa: ASYNC110 - nothing else tells
                    await asyncio.sleep(0.05)
            await client.create_topics([NewTopic(topics.names.jobs, topics.partitions, 1)])
            await client.close()
            with pytest.raises(StopAsyncIteration):
                await event()
        await until(lambda: gateway.not_ready() is None)
        assert (await http.get("/api/jobs")).json() == {"jobs": [], "total": 0}


@pytest.mark.usefixtures("own_broker")
async def test_while_kafka_is_away_the_gateway_says_so_and_afterwards_goes_on(tmp_path, file_id):
    with LocalBroker(tmp_path / "kafka") as broker:
        kafka, topics = KafkaSettings(bootstrap_servers=broker.bootstrap_servers), TopicSettings(partitions=2)
        await admin.apply(kafka, topics)
        async with running(kafka, topics, kafka_timeout_seconds=1) as (gateway, http):
            async with following(http, f"file.{file_id}") as event:
                await event()
                async with producing(kafka) as producer:
                    await write(producer, topics, make_job(file_id, progress=10))
                await event()
                await asyncio.to_thread(broker.kill)
                await until(lambda: gateway.not_ready() is not None)
                assert (await http.get("/readyz")).status_code == 503
                refused = await http.post(f"/api/jobs/{file_id}/check")
                assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
                assert (await http.get(f"/api/jobs/{file_id}")).json()["progress"] == 10

                await asyncio.to_thread(broker.start)
                await until(lambda: gateway.not_ready() is None, 60)
                async with producing(kafka) as producer:
                    [written] = await write(producer, topics, make_job(file_id, 2, progress=20))
                while (told := await event()).event != "job":
                    pass
                assert (place(told), told.json()["progress"]) == (written, 20)
                assert (await http.post(f"/api/jobs/{file_id}/check")).status_code == 202
            await asyncio.to_thread(broker.kill)  # and without it the gateway still ends in time
