"""What an operator relies on: probes, hand-over, static membership, metrics."""

import asyncio
import re
import uuid

from aiokafka import AIOKafkaProducer
from harness import Process, eventually, send
from integration.streams.support import document, files, observations, track
from integration.streams.test_forgetting_on_kafka import send as send_in_batches

from schemas.codec import encode

ROWS = 300_000
LONG_SESSION = {"processor__session_timeout": 60, "processor__heartbeat_interval": 0.5}


def outcomes(*workers):
    return sum(each.metric("rendercast_processor_outcomes_total") for each in workers)


def give_work(kafka, topics, number=50):
    ids = files(number)
    send(kafka, topics.names.commands, [track(each) for each in ids])
    send(kafka, topics.names.upstream, observations(ids))
    return number


def held(worker):
    return worker.metric("rendercast_processor_held_partitions")


def test_it_is_alive_and_tells_its_progress_while_it_recovers_and_ready_afterwards(kafka, topics, tmp_path):
    asyncio.run(write_rows(kafka, topics))
    worker = Process("processor", tmp_path, kafka, topics)
    answers = set()

    def is_ready():
        alive, ready = worker.get("/healthz"), worker.get("/readyz")
        answers.add(ready)
        assert not ready or "alive" in alive
        return '"ready"' in ready

    eventually(is_ready, 60)
    seen = [int(found[1]) for each in answers if (found := re.search(r"(\d+) of \d+ offsets", each))]
    assert any(0 < each < ROWS for each in seen), answers
    assert worker.metric("rendercast_processor_rows") == ROWS
    assert worker.metric("rendercast_processor_recovered_records_total") == ROWS
    assert worker.metric("rendercast_processor_recovery_records_per_second") > 0
    assert worker.metric("rendercast_processor_recovery_ratio") == 1
    assert worker.stop() == 0


async def write_rows(kafka, topics):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, max_batch_size=1 << 20)
    await producer.start()
    sample = encode(document(str(uuid.uuid4())))
    head = len(b'{"file_id":"') + 36
    try:
        for number in range(topics.partitions):
            ids = [str(uuid.uuid4()) for _ in range(ROWS // topics.partitions)]
            rows = [(each, b'{"file_id":"' + each.encode() + sample[head:]) for each in ids]
            await send_in_batches(producer, topics.names.jobs, number, rows)
    finally:
        await producer.stop()


def test_a_graceful_stop_hands_over_at_once_and_without_a_replay(kafka, topics, tmp_path):
    first, second = [Process("processor", tmp_path, kafka, topics, **LONG_SESSION) for _ in range(2)]
    eventually(lambda: held(first) and held(second), 60, "both have partitions")
    done = give_work(kafka, topics)
    eventually(lambda: outcomes(first, second) == done, 30)
    before = outcomes(second)
    assert first.stop(10) == 0
    eventually(lambda: held(second) == topics.partitions, 30, "long before the session would have ended")
    more = give_work(kafka, topics)
    eventually(lambda: outcomes(second) == before + more, 30)
    assert second.metric("rendercast_processor_replays_total") == 0
    assert second.stop() == 0


def test_a_static_member_is_back_at_once_after_a_kill(kafka, topics, tmp_path):
    worker = Process("processor", tmp_path, kafka, topics, **LONG_SESSION, processor__instance_id="one")
    worker.wait_ready()
    worker.kill()
    worker.start()
    eventually(lambda: held(worker) == topics.partitions, 30, "long before the session would have ended")
    done = give_work(kafka, topics)
    eventually(lambda: outcomes(worker) == done, 30)
    assert worker.stop() == 0


def test_the_metrics_tell_of_lag_steps_transactions_and_of_who_told_what_twice(kafka, topics, tmp_path):
    worker = Process("processor", tmp_path, kafka, topics)
    done = give_work(kafka, topics)
    eventually(lambda: outcomes(worker) == done, 60)
    text = worker.get("/metrics")
    for topic in (topics.names.commands, topics.names.upstream):
        for number in range(topics.partitions):
            assert f'rendercast_processor_lag_offsets{{partition="{number}",topic="{topic}"}}' in text
    eventually(lambda: worker.metric("rendercast_processor_lag_offsets") == 0, 30)
    eventually(lambda: worker.metric("rendercast_processor_lag_seconds") == 0, 30)
    assert [worker.metric(f"rendercast_processor_{name}_jobs") for name in ("unfinished", "overdue")] == [0, 0]
    assert worker.metric("rendercast_processor_announced_seconds_count") == done
    eventually(lambda: worker.metric("rendercast_processor_offsets_commit_seconds_count"), 30)
    assert worker.metric("rendercast_processor_rebalance_seconds_count") > 0
    assert worker.metric("rendercast_processor_step_records_sum") == done * 6
    assert worker.metric("rendercast_processor_transaction_seconds_count") > 0
    assert re.search(r'events_total\{source="(poll|check)",verdict="duplicate"\} [1-9]', text)
    assert 'rendercast_processor_ends_total{why="fenced"}' in text
    assert 'rendercast_processor_ends_total{why="aborted"}' in text
    assert worker.stop() == 0
