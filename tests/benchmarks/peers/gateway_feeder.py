"""Writes changes of jobs at a steady rate: each file's next version, file after file. It is no rival.

Prints `warm` when the first `warm` versions are written, then `fed` and the milliseconds that 99 % of its sends were
not later than.
"""

import sys
import time
from typing import Any

import orjson
from benchmarks.gateway_jobs import FED, WARM, Files, job
from benchmarks.medians import percentile
from confluent_kafka import Producer


def main(topic: str, servers: str, rate: float, first: int, final: int, warm: int, files: dict[str, int]) -> None:
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
    those, late, sent = Files(**files), [], 0
    begun = time.perf_counter()
    for version in range(first, final + 1):
        if version == first + warm:
            print(WARM, flush=True)
        for number in range(those.count):
            due = begun + sent / rate
            if (now := time.perf_counter()) < due:
                time.sleep(due - now)
            late.append(time.perf_counter() - due)
            record = job(those, number, version, final, f"at={time.time_ns()}")
            producer.produce(topic, record.value, record.key, record.partition)
            producer.poll(0)
            sent += 1
    if producer.flush(20):
        raise SystemExit("the broker did not take what was sent")
    print(FED, round(1_000 * percentile(late, 0.99), 2), flush=True)


if __name__ == "__main__":
    asked: dict[str, Any] = orjson.loads(sys.argv[1])
    main(**asked)
