"""The promise on a real broker: whatever is killed, frozen or moved, each outcome is announced once, none is lost."""

import asyncio
import random
import signal
import uuid
from collections import Counter

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from harness import Process, eventually, read, send

from schemas import Progress, Result, Track, utcnow
from schemas.codec import decode_completion, decode_job
from schemas.ids import outcome_id

JOBS = 300
FAST = {
    "processor__session_timeout": 1, "processor__heartbeat_interval": 0.3, "processor__commit_interval": 0.2,
    "processor__engine": '{"step_records": 50, "max_poll_records": 50}',
}  # fmt: skip


def files(number=JOBS):
    return [str(uuid.uuid4()) for _ in range(number)]


def tracks(ids):
    return [Track(file_id=each, kind="video", request_id="r1", issued_at=utcnow()) for each in ids]


def observations(ids, seed=1):
    """Progress, and each result three times by three sources; shuffled over the files, in order within one."""
    mixed = random.Random(seed)
    series = {
        each: [
            *[
                Progress(file_id=each, source="sse", observed_at=utcnow(), progress=percent)
                for percent in (10, 40, 40, 70)
            ],
            *[
                Result(file_id=each, source=source, observed_at=utcnow(), url=f"https://x.example/{each}.mp4")
                for source in mixed.sample(["sse", "poll", "check"], 3)
            ],
        ]
        for each in ids
    }
    order = [each for each in ids for _ in series[each]]
    mixed.shuffle(order)
    return [series[each].pop(0) for each in order]


def announced(kafka, topics):
    """How often each outcome stands on `completions`, by its id."""
    return Counter(decode_completion(each.value).id for each in read(kafka, topics.names.completions))


def expected(ids):
    return Counter({outcome_id(each, "r1", "completed"): 1 for each in ids})


def chunks(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]


@pytest.fixture
def processes(tmp_path, kafka, topics):
    started = []

    def start(**settings):
        process = Process("processor", tmp_path, kafka, topics, **{**FAST, **settings})
        started.append(process)
        return process

    yield start
    for each in started:
        each.kill()


def is_done(kafka, topics, ids):
    return lambda: len(announced(kafka, topics)) >= len(ids)


def test_kill_9_in_mid_run_loses_and_repeats_nothing(kafka, topics, processes):
    ids = files()
    worker = processes()
    worker.wait_ready()
    send(kafka, topics.names.commands, tracks(ids))
    for part in chunks(observations(ids), 300):
        send(kafka, topics.names.upstream, part)
        eventually(lambda: worker.metric("rendercast_processor_events_total"), 30, "it is at work")
        worker.kill()
        worker.start()
    eventually(is_done(kafka, topics, ids), 60)
    assert announced(kafka, topics) == expected(ids)
    documents = {each.key: decode_job(each.value) for each in read(kafka, topics.names.jobs)}
    assert {each.status for each in documents.values()} == {"completed"}


def test_a_frozen_owner_is_fenced_when_it_wakes_and_its_partitions_go_on(kafka, topics, processes):
    ids = files()
    frozen, other = processes(), processes()
    frozen.wait_ready()
    other.wait_ready()
    send(kafka, topics.names.commands, tracks(ids))
    parts = chunks(observations(ids), 525)
    send(kafka, topics.names.upstream, parts[0])
    eventually(lambda: frozen.metric("rendercast_processor_events_total"), 20, "the owner is at work")
    frozen.signal(signal.SIGSTOP)
    for part in parts[1:]:
        send(kafka, topics.names.upstream, part)
    eventually(is_done(kafka, topics, ids), 60)
    frozen.signal(signal.SIGCONT)
    send(kafka, topics.names.upstream, observations(ids, seed=2))  # repeats of everything, for whoever reads them
    eventually(lambda: frozen.status is not None or frozen.metric("rendercast_processor_rebalances_total") > 1, 30)
    eventually(lambda: committed_to_the_end(kafka, topics), 60)
    assert announced(kafka, topics) == expected(ids)


def test_group_offsets_put_back_to_the_beginning_announce_nothing_again(kafka, topics, processes):
    ids = files(100)
    worker = processes()
    send(kafka, topics.names.commands, tracks(ids))
    send(kafka, topics.names.upstream, observations(ids))
    eventually(is_done(kafka, topics, ids), 60)
    assert worker.stop() == 0
    reset_offsets(kafka, topics)
    again = processes()
    eventually(lambda: again.metric("rendercast_processor_replays_total") >= len(ids), 30)
    eventually(lambda: committed_to_the_end(kafka, topics), 30)
    assert announced(kafka, topics) == expected(ids)


def test_a_worker_that_finds_a_backlog_reads_commands_and_observations_side_by_side(kafka, topics, processes):
    ids = files()
    send(kafka, topics.names.commands, tracks(ids))
    send(kafka, topics.names.upstream, observations(ids))
    worker = processes()
    eventually(is_done(kafka, topics, ids), 60)
    assert announced(kafka, topics) == expected(ids)
    text = worker.log
    assert "process ends" not in text


def test_a_graceful_stop_commits_what_it_has_done_and_leaves_no_replay(kafka, topics, processes):
    ids = files(100)
    worker = processes()
    send(kafka, topics.names.commands, tracks(ids))
    send(kafka, topics.names.upstream, observations(ids))
    eventually(is_done(kafka, topics, ids), 60)
    eventually(lambda: committed_to_the_end(kafka, topics), 30)
    assert worker.stop() == 0
    again = processes()
    again.wait_ready()
    more = files(10)
    send(kafka, topics.names.commands, tracks(more))
    send(kafka, topics.names.upstream, observations(more))
    eventually(is_done(kafka, topics, ids + more), 30)
    assert again.metric("rendercast_processor_replays_total") == 0


def test_missing_topics_end_the_process_with_a_clear_word(kafka, topics, tmp_path):
    worker = Process("processor", tmp_path, kafka, topics, topics__partitions=topics.partitions + 1)
    assert eventually(lambda: worker.status, 30) == 1
    assert f"{topics.names.commands}: partitions should be {topics.partitions + 1}" in worker.log


def group_of(topics):
    return f"{topics.prefix}processor"


def sources(topics):
    return [
        TopicPartition(topic, number)
        for topic in (topics.names.commands, topics.names.upstream)
        for number in range(topics.partitions)
    ]


def with_consumer(kafka, group, work):
    async def run():
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.servers, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            return await work(consumer)
        finally:
            await consumer.stop()

    return asyncio.run(run())


def committed_to_the_end(kafka, topics):
    async def work(consumer):
        ends = await consumer.end_offsets(sources(topics))
        return all([(await consumer.committed(tp) or 0) >= end for tp, end in ends.items()])

    return with_consumer(kafka, group_of(topics), work)


def reset_offsets(kafka, topics):
    async def work(consumer):
        consumer.assign(sources(topics))
        await consumer.commit(dict.fromkeys(sources(topics), 0))

    with_consumer(kafka, group_of(topics), work)
