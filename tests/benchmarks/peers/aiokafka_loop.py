"""A bare aiokafka loop, exactly once: jobs in memory as decoded objects, one transaction for each interval.

What remains when an engine does nothing: it never reads its state topic back, and fences nobody.
"""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from benchmarks.peers.rule import apply
from benchmarks.peers.task import FIRST, Task, Tell, collect_rarely

from schemas import Job
from schemas.codec import encode

MOST = 500


async def main() -> None:
    task, first = Task.read(), Tell(FIRST)
    collect_rarely()
    consumer = AIOKafkaConsumer(
        task.input, bootstrap_servers=task.servers, group_id=task.group, enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_wait_ms=20 if task.low_latency else 500,
    )  # fmt: skip
    producer = AIOKafkaProducer(
        bootstrap_servers=task.servers, transactional_id=task.group, enable_idempotence=True, max_batch_size=131_072
    )
    await producer.start()
    await consumer.start()
    jobs: dict[bytes, Job | None] = {}
    offsets, in_transaction, commit_at = {}, False, 0.0
    while True:
        batches = await consumer.getmany(timeout_ms=int(min(100, 1_000 * task.commit_seconds)), max_records=MOST)
        if batches:
            first()
            if not in_transaction:
                await producer.begin_transaction()
                in_transaction, commit_at = True, time.monotonic() + task.commit_seconds
            sent = []
            for tp, records in batches.items():
                for record in records:
                    job = jobs.get(record.key)
                    after, completion = apply(job, record.value)
                    if after is not job:
                        jobs[record.key] = after
                        sent.append(await producer.send(task.state, encode(after), record.key, tp.partition))
                    if completion is not None:
                        sent.append(await producer.send(task.output, completion, record.key, tp.partition))
                offsets[tp] = records[-1].offset + 1
            await asyncio.gather(*sent)
        if in_transaction and time.monotonic() >= commit_at:
            await producer.send_offsets_to_transaction(offsets, task.group)
            await producer.commit_transaction()
            offsets, in_transaction = {}, False


if __name__ == "__main__":
    asyncio.run(main())
