"""What a step tells of its jobs' traces, once its transaction has committed."""

from collections.abc import Iterable
from datetime import datetime

from schemas import Completion, Job
from schemas.headers import TRACEPARENT
from schemas.topics import Topics
from schemas.trace import SpanId, parse_traceparent
from streams.exactly_once import RawRecord
from streams.step import Effects
from tracing import Tracing, messaging, now

_FAILED = {"failed", "timed_out"}


def tell(tracing: Tracing, topics: Topics, records: Iterable[RawRecord], effects: Effects, started: datetime) -> None:
    """A span per command, linked to its caller's, and per outcome the root and the announcement.

    The root's id is derived from the job, so a replay that tells it again tells the same span.
    """
    ended = now()
    for record in records:
        job = effects.jobs.get(record.key or b"") if record.topic == topics.commands else None
        if job is not None:
            _tell_command(tracing, record, job, started, ended)
    for each in effects.completions:
        _tell_outcome(tracing, topics, each, ended)


def _tell_command(tracing: Tracing, record: RawRecord, job: Job, started: datetime, ended: datetime) -> None:
    place = messaging("process", record.topic, partition=record.partition, offset=record.offset)
    tracing.span(job, f"process {record.topic}", started, ended, place, kind="consumer", link=_caller(record))


def _tell_outcome(tracing: Tracing, topics: Topics, told: Completion, ended: datetime) -> None:
    facts: dict[str, str] = {"rendercast.kind": told.kind, "rendercast.outcome": told.outcome}
    if told.won_by is not None:
        facts["rendercast.won_by"] = told.won_by
    if not told.late:  # a late result is announced in the trace whose root has ended as timed_out
        error = (told.message or told.outcome) if told.outcome in _FAILED else None
        tracing.span(told, f"{told.kind} job", told.tracked_at, told.finished_at, facts, error=error, is_root=True)
    place = messaging("send", topics.completions)
    tracing.span(told, f"send {topics.completions}", told.finished_at, ended, {**place, **facts}, kind="producer")


def _caller(record: RawRecord) -> SpanId | None:
    return next((parse_traceparent(value) for name, value in record.headers if name == TRACEPARENT), None)
