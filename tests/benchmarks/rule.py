"""Rule and codec alone: what an event costs before any engine is there. In this process, on one thread."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

from benchmarks.peers.task import collect_rarely
from benchmarks.work import Sent, Work

from schemas.codec import decode_command, decode_job, decode_observation, encode
from schemas.headers import headers
from schemas.topics import Topics
from streams.machine import advance
from streams.outputs import EndWatch
from streams.rows import Rows
from streams.step import Stepper

STEP_RECORDS = 1_000
TOPICS = Topics("bench.")

WHOLE, COLD = "Stepper, records to effects", "the same with no document kept decoded"
STAGES = ("decode the observation", "advance", "encode documents and outputs", "their headers", "decode the document")


class Record(NamedTuple):
    """As much of a consumed record as a step reads."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes


Partition = tuple[list[Sent], list[list[Sent]]]
"""Its Tracks, and its observations in steps."""


def measure(work: Work, repeats: int) -> dict[str, list[float]]:
    """Microseconds of CPU time per observation, by what was done, one number for each repeat."""
    partitions = list(_partitions(work))
    found: dict[str, list[float]] = {name: [] for name in (WHOLE, COLD, *STAGES)}
    with _quiet():
        for _ in range(repeats):
            found[WHOLE].append(_steps(partitions, Rows))
            found[COLD].append(_steps(partitions, lambda: Rows(warm_limit=0)))
            for name, microseconds in zip(STAGES, _stages(partitions), strict=True):
                found[name].append(microseconds)
    return found


def shares(found: dict[str, list[float]]) -> dict[str, float]:
    """The medians of the stages, and what a step costs beside them."""
    stages = {name: median(found[name]) for name in STAGES}
    warm = sum(stages[name] for name in STAGES[:-1])
    return {**stages, "the rest of a step": median(found[WHOLE]) - warm, COLD: median(found[COLD])}


def _partitions(work: Work) -> Iterator[Partition]:
    for number in sorted({each.partition for each in work.tracks}):
        observations = [each for each in work.observations if each.partition == number]
        yield (
            [each for each in work.tracks if each.partition == number],
            [observations[at : at + STEP_RECORDS] for at in range(0, len(observations), STEP_RECORDS)],
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """The work itself is no garbage, and the collector runs as rarely as it does in a worker."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    collect_rarely()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _steps(partitions: list[Partition], new_rows: Callable[[], Rows]) -> float:
    stepper, seconds, events = Stepper(TOPICS), 0.0, 0
    for tracks, steps in partitions:
        rows = new_rows()
        stepper(rows, _records(TOPICS.commands, tracks, 0)).write_to(rows)
        for number, step in enumerate(steps):
            records = _records(TOPICS.upstream, step, number * STEP_RECORDS)
            started = time.thread_time()
            stepper(rows, records).write_to(rows)
            seconds += time.thread_time() - started
            events += len(records)
    return 1e6 * seconds / events


def _records(topic: str, sent: list[Sent], offset: int) -> list[Record]:
    return [Record(topic, each.partition, offset + at, 0, each.key, each.value) for at, each in enumerate(sent)]


def _stages(partitions: list[Partition]) -> list[float]:
    """Each stage over a whole step, one after the other; in the order of STAGES."""
    seconds, events = [0.0] * len(STAGES), 0
    for tracks, steps in partitions:
        jobs = {each.key: advance(None, decode_command(each.value)).job for each in tracks}
        documents = {key: encode(job) for key, job in jobs.items()}
        for step in steps:
            clock = [time.thread_time()]
            decoded = [decode_observation(each.value) for each in step]
            clock.append(time.thread_time())
            told, changed = [], {}
            for each, event in zip(step, decoded, strict=True):
                before = jobs[each.key]
                after, outputs, _ = advance(before, event)
                if after is not before:
                    jobs[each.key] = changed[each.key] = after
                told += outputs
            clock.append(time.thread_time())
            outputs = [each for each in told if type(each) is not EndWatch]
            values = [encode(each) for each in (*changed.values(), *outputs)]
            clock.append(time.thread_time())
            for each in outputs:
                headers(each)
            clock.append(time.thread_time())
            documents.update(zip(changed, values, strict=False))
            touched = {each.key for each in step}
            clock.append(time.thread_time())
            for key in touched:
                decode_job(documents[key])
            ended = time.thread_time()
            for place, started in enumerate(clock[:4]):
                seconds[place] += clock[place + 1] - started
            seconds[4] += ended - clock[5]
            events += len(step)
    return [1e6 * each / events for each in seconds]
