"""A bare confluent-kafka (librdkafka) loop, exactly once: the least that any Python worker could use."""

import os
import time
from typing import Any

from benchmarks.peers.rule import apply
from benchmarks.peers.task import FIRST, Task, Tell, collect_rarely
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas import Job
from schemas.codec import encode

MOST = 500


def main() -> None:
    task, first = Task.read(), Tell(FIRST)
    collect_rarely()
    consumer = Consumer(
        {
            "bootstrap.servers": task.servers, "group.id": task.group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )  # fmt: skip
    producer = Producer({"bootstrap.servers": task.servers, "transactional.id": task.group, "linger.ms": 5})
    producer.init_transactions()
    consumer.subscribe([task.input])
    jobs: dict[bytes, Job | None] = {}
    offsets: dict[int, int] = {}
    in_transaction, commit_at = False, 0.0
    while True:
        records = consumer.consume(MOST, timeout=0.05)
        if records:
            first()
            if not in_transaction:
                producer.begin_transaction()
                in_transaction, commit_at = True, time.monotonic() + task.commit_seconds
            for record in records:
                if record.error():
                    raise KafkaException(record.error())
                key, partition = record.key(), record.partition()
                job = jobs.get(key)
                after, completion = apply(job, record.value())
                if after is not job:
                    jobs[key] = after
                    producer.produce(task.state, encode(after), key, partition, _must_arrive)
                if completion is not None:
                    producer.produce(task.output, completion, key, partition, _must_arrive)
                offsets[partition] = record.offset() + 1
            producer.poll(0)
        if in_transaction and time.monotonic() >= commit_at:
            producer.send_offsets_to_transaction(
                [TopicPartition(task.input, *place) for place in offsets.items()], consumer.consumer_group_metadata()
            )
            producer.commit_transaction()
            offsets, in_transaction = {}, False


def _must_arrive(error: Any, _: Any) -> None:
    if error is not None:
        print(error, flush=True)
        os._exit(70)


if __name__ == "__main__":
    main()
