"""Feeder and reader of the latency figure, in one process and on one clock. It is no engine.

Prints `measuring` and `measured` when it begins and ends to count, then `result` and what it saw as JSON.
"""

import sys
import threading
import time
from typing import Any

import orjson
from benchmarks import work
from benchmarks.medians import Failed, percentile
from benchmarks.work import Sent, Work
from confluent_kafka import Consumer, Producer, TopicPartition

AT_ONCE = 100
"""Jobs that have observations at the same time."""

DRAIN_SECONDS = 10
READER_WAIT_MS = 10
"""A fetch of the reader waits so long for the next record: a commit does not end the wait by itself."""


class Reader:
    """When (`time.perf_counter`) each key's outcome could first be read."""

    def __init__(self, servers: str, topic: str, partitions: int) -> None:
        self.seen: dict[bytes, float] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers, "group.id": "bench-probe", "isolation.level": "read_committed",
                "enable.auto.commit": False, "fetch.wait.max.ms": READER_WAIT_MS, "fetch.queue.backoff.ms": 5,
            }
        )  # fmt: skip
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            record = self._consumer.poll(0.1)
            if record is not None and not record.error():
                self.seen.setdefault(record.key(), time.perf_counter())

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self._consumer.close()


class Feeder:
    """Sends at once, each record to its partition."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._commands, self._upstream = asked["commands"], asked["upstream"]
        self._producer = Producer({"bootstrap.servers": asked["servers"], "linger.ms": 0})

    def track(self, record: Sent) -> None:
        self._send(self._commands, record)

    def observe(self, record: Sent) -> None:
        self._send(self._upstream, record)

    def _send(self, topic: str, record: Sent) -> None:
        self._producer.produce(topic, record.value, record.key, record.partition, headers=record.headers)
        self._producer.poll(0)

    def flush(self) -> None:
        if self._producer.flush(20):
            raise Failed("the broker did not take what was sent")


def main(asked: dict[str, Any]) -> None:
    sys.setswitchinterval(0.0005)  # the reader's thread does not wait for the feeder's
    warm, rate, partitions = asked["warm"], asked["rate"], asked["partitions"]
    jobs = int((warm + asked["seconds"]) * rate / work.OBSERVATIONS_PER_JOB)
    load, first = work.make(jobs, seed=2, at_once=AT_ONCE), work.make(partitions, seed=3)
    feeder, reader = Feeder(asked), Reader(asked["servers"], asked["completions"], partitions)
    try:
        for record in (*load.tracks, *first.tracks):
            feeder.track(record)
        feeder.flush()
        _until_ready(feeder, reader, first, asked["ready_seconds"])
        sent, late = _feed(feeder, load, rate, warm)
        missing = _drain(reader, sent)
    finally:
        reader.close()
    milliseconds = [1_000 * (reader.seen[key] - at) for key, at in sent.items() if key in reader.seen]
    found = {"milliseconds": milliseconds, "missing": missing, "late": 1_000 * percentile(late, 0.99)}
    print("result", orjson.dumps(found).decode(), flush=True)


def _until_ready(feeder: Feeder, reader: Reader, first: Work, seconds: float) -> None:
    """One job of each partition, told again and again until its outcome is there: all Tracks before it are known."""
    give_up = time.perf_counter() + seconds
    waiting = [record for record in first.observations if record.ends]
    while waiting:
        if time.perf_counter() > give_up:
            raise Failed(f"no outcome within {seconds:.0f} s")
        for record in waiting:
            feeder.observe(record)
        asked_again = time.perf_counter() + 0.3
        while waiting and time.perf_counter() < asked_again:
            time.sleep(0.01)
            waiting = [record for record in waiting if record.key not in reader.seen]


def _feed(feeder: Feeder, load: Work, rate: float, warm: float) -> tuple[dict[bytes, float], list[float]]:
    """When the observation that ends each job was sent, and how late each send was; of what counts."""
    sent: dict[bytes, float] = {}
    late: list[float] = []
    counts_from = int(warm * rate)
    begun = time.perf_counter()
    for number, record in enumerate(load.observations):
        due = begun + number / rate
        now = time.perf_counter()
        if now < due:
            time.sleep(due - now)
        if number == counts_from:
            print("measuring", flush=True)
        now = time.perf_counter()
        if number >= counts_from:
            late.append(now - due)
            if record.ends:
                sent[record.key] = now
        feeder.observe(record)
    print("measured", flush=True)
    feeder.flush()
    return sent, late


def _drain(reader: Reader, sent: dict[bytes, float]) -> int:
    """How many outcomes have still not come after a while."""
    give_up = time.perf_counter() + DRAIN_SECONDS
    while (missing := len(sent.keys() - reader.seen.keys())) and time.perf_counter() < give_up:
        time.sleep(0.02)
    return missing


if __name__ == "__main__":
    main(orjson.loads(sys.argv[1]))
