"""What the processor tells of a job's trace: commands, the outcome, and the root once."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from schemas import Cancel, Expired, Result, Track, utcnow
from schemas.codec import encode
from schemas.headers import TRACEPARENT, headers, traced
from schemas.topics import Topics
from schemas.trace import SpanId, root_span, traceparent
from streams import spans
from streams.rows import Rows
from streams.step import Stepper
from tracing.spans import Tracing

FILE = "998d1234-5678-4abc-8def-0123456789ab"
TOPICS = Topics()
NOW = utcnow()
ROOT = root_span(FILE, "r1")
CALLER = SpanId(b"\x01" * 16, b"\x02" * 8)
TRACK = Track(file_id=FILE, kind="video", request_id="r1", issued_at=NOW)
RESULT = Result(
    file_id=FILE, source="sse", observed_at=NOW + timedelta(seconds=9), url="https://x.example/a.mp4", generation="r1"
)


class Processor:
    """Steps of one partition, with the spans they tell."""

    def __init__(self, ratio=1):
        self.rows, self.told, self.offset, self.effects = Rows(), [], 0, None
        self.tracing = Tracing(traced(ratio), ratio, self.told.append)
        self.stepper = Stepper(TOPICS, self.tracing.headers)

    def __call__(self, event, told=()):
        self.offset += 1
        topic = TOPICS.commands if event.type in {"track", "cancel"} else TOPICS.upstream
        record = SimpleNamespace(
            topic=topic, partition=3, offset=self.offset, timestamp=7, key=event.file_id.encode(), value=encode(event),
            headers=told,
        )  # fmt: skip
        del self.told[:]
        self.effects = self.stepper(self.rows, [record])
        self.effects.write_to(self.rows)
        spans.tell(self.tracing, TOPICS, [record], self.effects, NOW)
        return list(self.told)


def test_a_track_is_a_span_that_links_to_its_callers():
    [span] = Processor()(TRACK, [("x", b"y"), (TRACEPARENT, traceparent(CALLER, sampled=True))])
    assert (span.id.trace, span.parent, span.link, span.kind) == (ROOT.trace, ROOT, CALLER, "consumer")
    assert span.name == f"process {TOPICS.commands}"
    assert span.attributes["messaging.system"] == "kafka"
    assert span.attributes["messaging.destination.partition.id"] == "3"
    assert span.attributes["messaging.kafka.offset"] == 1


@pytest.mark.parametrize("told", [[], [(TRACEPARENT, b"rubbish")], traced(1)(TRACK)])
def test_a_track_without_another_trace_links_to_none(told):
    [span] = Processor()(TRACK, told)
    assert span.link is None


def test_a_track_that_joins_a_job_under_another_name_links_its_own_trace_to_the_jobs():
    process = Processor()
    process(Track(file_id=FILE, kind="video", upstream_generation_id="u", issued_at=NOW))
    other = Track(file_id=FILE, kind="video", request_id="r2", upstream_generation_id="u", issued_at=NOW)
    [span] = process(other, traced(1)(other))
    assert span.parent == root_span(FILE, "u")
    assert span.link == root_span(FILE, "r2")


def test_an_outcome_is_the_root_from_track_to_end_and_its_announcement():
    process = Processor()
    process(TRACK)
    root, sent = process(RESULT)
    assert (root.id, root.parent, root.name) == (ROOT, None, "video job")
    assert (root.start, root.end, root.error) == (NOW, RESULT.observed_at, None)
    assert root.attributes["rendercast.outcome"] == "completed"
    assert root.attributes["rendercast.won_by"] == "sse"
    assert (sent.parent, sent.name, sent.kind) == (ROOT, f"send {TOPICS.completions}", "producer")
    assert sent.start == RESULT.observed_at


def test_a_replay_after_a_crash_tells_the_same_root():
    roots = []
    for _ in range(2):
        process = Processor()
        process(TRACK)
        roots.append(process(RESULT)[0])
    assert roots[0] == roots[1]


def test_a_late_result_is_announced_in_the_trace_and_makes_no_second_root():
    process = Processor()
    process(TRACK)
    root, _ = process(Expired(file_id=FILE, observed_at=NOW + timedelta(seconds=5), generation="r1"))
    assert (root.id, root.error) == (ROOT, "timed_out")
    [sent] = process(RESULT)
    assert (sent.parent, sent.attributes["rendercast.outcome"]) == (ROOT, "completed")


def test_a_cancelled_job_is_no_error():
    process = Processor()
    process(TRACK)
    roots = [each for each in process(Cancel(file_id=FILE, issued_at=NOW)) if each.parent is None]
    assert [(each.id, each.error) for each in roots] == [(ROOT, None)]


def test_what_is_told_downstream_carries_the_trace_and_without_tracing_does_not():
    process = Processor()
    process(TRACK)
    process(RESULT)
    told = [dict(each.headers) for each in process.effects.out if each.headers]
    assert told
    assert {each[TRACEPARENT] for each in told} == {traceparent(ROOT, sampled=True)}
    process.stepper = Stepper(TOPICS, headers)
    process(Track(file_id=FILE, kind="video", request_id="r2", issued_at=NOW + timedelta(seconds=60)))
    assert all(TRACEPARENT not in dict(each.headers) for each in process.effects.out)


def test_of_a_job_that_is_not_sampled_nothing_is_told():
    process = Processor(ratio=0)
    assert process(TRACK) == []
    assert process(RESULT) == []
