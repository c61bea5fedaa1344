"""Records, bytes as they come, and processors for the tests of this folder."""

import asyncio
import contextlib
import uuid
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from harness import Process, eventually, read

from rendercast import topics as admin
from schemas import Job, Progress, Result, Track, utcnow
from schemas.codec import decode_completion, decode_job, encode
from schemas.ids import outcome_id
from schemas.settings import TopicSettings

FAST = {
    "processor__session_timeout": 1, "processor__heartbeat_interval": 0.3, "processor__commit_interval": 0.2,
    "processor__engine": '{"step_records": 50, "max_poll_records": 50}',
}  # fmt: skip


def new_id():
    return str(uuid.uuid4())


def files(number):
    return [new_id() for _ in range(number)]


def url_of(file_id, generation="r1"):
    return f"https://x.example/{file_id}/{generation}.mp4"


def track(file_id, request_id="r1", **fields):
    return Track(**{"file_id": file_id, "kind": "video", "request_id": request_id, "issued_at": utcnow(), **fields})


def seen(shape, file_id, source="sse", **fields):
    return shape(**{"file_id": file_id, "source": source, "observed_at": utcnow(), **fields})


def result(file_id, generation="r1", source="sse", **fields):
    return seen(Result, file_id, source, **{"url": url_of(file_id, generation), **fields})


def observations(ids):
    """Progress twice, and each result by all three sources."""
    rounds = [
        lambda each: seen(Progress, each, progress=10),
        lambda each: seen(Progress, each, progress=60),
        lambda each: result(each, source="sse"),
        lambda each: result(each, source="poll"),
        lambda each: result(each, source="check"),
    ]
    return [make(each) for make in rounds for each in ids]


def document(file_id, version=1, **fields):
    """A row of the table, as a processor of this release writes it."""
    now = utcnow()
    return Job(
        **{
            "file_id": file_id, "generation": "r1", "version": version, "kind": "video", "status": "processing",
            "deadline_at": now + timedelta(minutes=15), "tracked_at": now, "updated_at": now, **fields,
        }
    )  # fmt: skip


# ------------------------------------------------------------------ writing


class Raw(NamedTuple):
    """A record as a stranger may write it. Without a partition the key chooses."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


def raw(topic, record, partition=None):
    return Raw(topic, record.file_id.encode(), encode(record), partition)


@asynccontextmanager
async def producing(kafka, **settings):
    fields = {"acks": "all", "enable_idempotence": True, "linger_ms": 5, "max_request_size": 8 << 20, **settings}
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, **fields)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def put(producer, records):
    """Returns when the broker has them all, in their order; where each one stands."""
    waiting = [await producer.send(each.topic, each.value, key=each.key, partition=each.partition) for each in records]
    return await asyncio.gather(*waiting)


def write(kafka, records, **settings):
    async def run():
        async with producing(kafka, **settings) as producer:
            return await put(producer, records)

    return asyncio.run(run())


def write_events(kafka, topics, events):
    """Commands and observations, each to its topic. Returns when the broker has them all."""
    write(kafka, [raw(home(topics, each), each) for each in events])


def home(topics, event):
    return topics.names.upstream if hasattr(event, "observed_at") else topics.names.commands


# ------------------------------------------------------------------ reading


def completions(kafka, topics):
    return [decode_completion(each.value) for each in read(kafka, topics.names.completions)]


def announced(kafka, topics):
    """The ids of all outcomes, in an order of their own: twice where one was told twice."""
    return sorted(each.id for each in completions(kafka, topics))


def expected(ids):
    return sorted(outcome_id(each, "r1", "completed") for each in ids)


def is_done(kafka, topics, ids):
    return lambda: len(announced(kafka, topics)) >= len(ids)


def documents(kafka, topics):
    """The last document of each file."""
    return {each.key.decode(): decode_job(each.value) for each in read(kafka, topics.names.jobs) if each.value}


def sources(topics):
    return [
        TopicPartition(topic, number)
        for topic in (topics.names.commands, topics.names.upstream)
        for number in range(topics.partitions)
    ]


def with_consumer(kafka, topics, work):
    """What `work` makes of a consumer that knows the processor's group and takes no part in it."""

    async def run():
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.servers, group_id=f"{topics.prefix}processor", enable_auto_commit=False
        )
        await consumer.start()
        try:
            return await work(consumer)
        finally:
            await consumer.stop()

    return asyncio.run(run())


def end_offsets(kafka, topics, topic):
    """Of each partition, transaction markers included."""
    tps = [TopicPartition(topic, number) for number in range(topics.partitions)]
    return with_consumer(kafka, topics, lambda consumer: consumer.end_offsets(tps))


def committed(kafka, topics):
    async def work(consumer):
        return {tp: await consumer.committed(tp) for tp in sources(topics)}

    return with_consumer(kafka, topics, work)


def is_settled(kafka, topics):
    """Everything that was written is done with: offsets are committed after what they stand for."""

    async def work(consumer):
        ends = await consumer.end_offsets(sources(topics))
        return all([(await consumer.committed(tp) or 0) >= end for tp, end in ends.items()])

    return with_consumer(kafka, topics, work)


def settle(kafka, topics, seconds=30):
    eventually(lambda: is_settled(kafka, topics), seconds, "the processor has read all there is")


def reset_offsets(kafka, topics, offset=0):
    async def work(consumer):
        consumer.assign(sources(topics))
        await consumer.commit(dict.fromkeys(sources(topics), offset))

    with_consumer(kafka, topics, work)


# --------------------------------------------------------------- processes


def verdicts(process, verdict):
    """How many events have come to this, by the process's own count."""
    return process.metric(rf'rendercast_processor_events_total\{{[^}}]*verdict="{verdict}"[^}}]*\}}')


@contextmanager
def fresh_topics(kafka, **fields):
    """All topics under a prefix of their own, as the fixture `topics` makes them; deleted afterwards."""
    settings = TopicSettings(**{"prefix": f"test-{uuid.uuid4().hex[:8]}.", "partitions": 2, **fields})
    asyncio.run(admin.apply(kafka, settings))
    try:
        yield settings
    finally:
        asyncio.run(admin.delete(kafka, settings))


@contextmanager
def processors(directory, kafka, topics):
    """A function that starts a processor; none outlives the block."""
    with contextlib.ExitStack() as started:

        def start(**settings):
            process = Process("processor", directory, kafka, topics, **{**FAST, **settings})
            started.callback(process.kill)
            return process

        yield start
