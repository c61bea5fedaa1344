"""Finished jobs are forgotten: many of them pass, and neither the process nor its topics grow with them.

`make soak` lets 200,000 pass.
"""

import asyncio
import os
import uuid

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from harness import Process, eventually, read

from schemas import Result, Track, utcnow
from schemas.codec import decode_completion, encode
from streams.exactly_once import changelog

WAVES = 10
JOBS = int(os.environ.get("RENDERCAST_TEST_JOBS", "20000")) // WAVES
QUICK_COMPACTION = {
    "segment.ms": "1000", "segment.bytes": "4194304", "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "100", "max.compaction.lag.ms": "1000",
}  # fmt: skip


@pytest.mark.timeout(900)
def test_rows_memory_and_topics_stay_bounded_and_an_offset_reset_announces_nothing_again(kafka, topics, tmp_path):
    asyncio.run(alter(kafka, [topics.names.jobs, topics.names.watches], QUICK_COMPACTION))
    settings = {"processor__retention": 2, "processor__session_timeout": 1.5, "processor__heartbeat_interval": 0.3}
    worker = Process("processor", tmp_path, kafka, topics, **settings)
    worker.wait_ready()
    memory = []
    for wave in range(1, WAVES + 1):
        asyncio.run(feed(kafka, topics, JOBS))
        ended = wave * JOBS
        eventually(lambda: worker.metric("rendercast_processor_outcomes_total") >= ended, 60, "the wave has ended")  # noqa: B023
        eventually(lambda: worker.metric("rendercast_processor_rows") <= JOBS, 30, "the waves before are forgotten")
        memory.append(worker.memory)
    assert max(memory[6:]) < 1.2 * max(memory[:3]), memory
    eventually(lambda: worker.metric("rendercast_processor_rows") == 0, 30, "the last ones are forgotten, too")
    for topic in (topics.names.jobs, topics.names.watches):
        assert not any(asyncio.run(changelog.load(kafka, topic, range(topics.partitions))).values()), topic
    assert worker.stop() == 0

    announced = [decode_completion(each.value).id for each in read(kafka, topics.names.completions)]
    assert len(announced) == len(set(announced)) == WAVES * JOBS
    again = Process("processor", tmp_path, kafka, topics, processor__group=f"{topics.prefix}another", **settings)
    eventually(lambda: again.metric("rendercast_processor_replays_total") >= 2 * WAVES * JOBS, 60, "all comes again")
    assert again.metric("rendercast_processor_outcomes_total") == 0
    assert again.stop() == 0
    assert len(read(kafka, topics.names.completions)) == WAVES * JOBS
    eventually(lambda: len(read(kafka, topics.names.jobs)) < WAVES * JOBS / 2, 90, "compaction takes the tombstones")


async def alter(kafka, names, configs):
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await client.start()
    try:
        await client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact", **configs}) for name in names]
        )
    finally:
        await client.close()


async def feed(kafka, topics, number):
    """Jobs that are tracked, and ended by two sources; in batches, because there are many."""
    ids, now = [str(uuid.uuid4()) for _ in range(number)], utcnow()
    url = "https://x.example/{}.mp4"
    commands = [encode(Track(file_id=each, kind="video", request_id="r1", issued_at=now)) for each in ids]
    results = [
        encode(Result(file_id=each, source=source, observed_at=now, url=url.format(each)))
        for source in ("sse", "poll")
        for each in ids
    ]
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, max_batch_size=1 << 20, acks="all")
    await producer.start()
    try:
        for topic, values in ((topics.names.commands, commands), (topics.names.upstream, results)):
            for partition in range(topics.partitions):
                mine = ids[partition :: topics.partitions] * (len(values) // len(ids))
                await send(producer, topic, partition, zip(mine, values[partition :: topics.partitions], strict=True))
    finally:
        await producer.stop()


async def send(producer, topic, partition, records):
    sent, batch = [], producer.create_batch()
    for key, value in records:
        if batch.append(timestamp=None, key=key.encode(), value=value) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key.encode(), value=value)
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*sent)
