"""A job's trace: everybody derives the same ids and the same decision."""

import subprocess
import sys
from uuid import UUID

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas import Cancel, Check, Progress, Snapshot, Track, Watch, utcnow
from schemas.headers import TRACEPARENT, headers, traced
from schemas.trace import SpanId, is_sampled, parse_traceparent, root_span, traceparent

FILE = "998d1234-5678-4abc-8def-0123456789ab"
NOW = utcnow()
ROOTS = [root_span(str(UUID(int=number)), f"g{number}") for number in range(2_000)]
SAY = f"from schemas.trace import root_span; print(*(each.hex() for each in root_span({FILE!r}, 'r/1')))"


def test_another_process_derives_the_same_ids():
    said = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True).stdout.split()
    assert said == [each.hex() for each in root_span(FILE, "r/1")]
    assert [len(each) for each in root_span(FILE, "r/1")] == [16, 8]


def test_each_generation_has_a_trace_of_its_own():
    assert len({each.trace for each in ROOTS}) == len({each.span for each in ROOTS}) == len(ROOTS)
    assert root_span(FILE, "a").trace != root_span(FILE, "b").trace


@pytest.mark.parametrize("ratio", [0, 0.1, 0.4, 0.5, 0.9, 1])
def test_a_ratio_samples_its_share_and_as_opentelemetrys_sampler_would(ratio):
    theirs = TraceIdRatioBased(ratio)
    for root in ROOTS:
        decided = theirs.should_sample(None, int.from_bytes(root.trace), "").decision is Decision.RECORD_AND_SAMPLE
        assert is_sampled(root.trace, ratio) == decided
    share = sum(is_sampled(each.trace, ratio) for each in ROOTS) / len(ROOTS)
    assert abs(share - ratio) < 0.05


@pytest.mark.parametrize("sampled", [True, False])
def test_the_header_is_trace_contexts_own(sampled):
    root = root_span(FILE, "r1")
    told = traceparent(root, sampled=sampled)
    context = get_current_span(
        TraceContextTextMapPropagator().extract({"traceparent": told.decode()})
    ).get_span_context()
    assert (context.trace_id.to_bytes(16), context.span_id.to_bytes(8)) == root
    assert context.trace_flags.sampled == sampled
    assert parse_traceparent(told) == root


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", True),
        (b"cc-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01-what-comes", True),
        (b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01-more", False),
        (b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", False),
        (b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01", False),
        (b"00-" + b"a" * 32 + b"-" + b"0" * 16 + b"-01", False),
        (b"00-" + b"A" * 32 + b"-" + b"b" * 16 + b"-01", False),
        (b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01\n", False),
        (b"", False),
        (b"\xff\x00", False),
    ],
)
def test_a_callers_header_is_read_or_passed_over(value, known):
    assert parse_traceparent(value) == (SpanId(b"\xaa" * 16, b"\xbb" * 8) if known else None)


@pytest.mark.parametrize(
    ("record", "generation"),
    [
        (Track(file_id=FILE, kind="video", issued_at=NOW), None),
        (Track(file_id=FILE, kind="video", request_id="r", upstream_generation_id="u", issued_at=NOW), "r"),
        (Track(file_id=FILE, kind="video", upstream_generation_id="u", issued_at=NOW), "u"),
        (Check(file_id=FILE, issued_at=NOW), None),
        (Cancel(file_id=FILE, generation="g", issued_at=NOW), "g"),
        (Progress(file_id=FILE, source="sse", observed_at=NOW, progress=1), None),
        (Snapshot(file_id=FILE, source="poll", observed_at=NOW, generation="g"), "g"),
        (Watch(file_id=FILE, generation="g", kind="video", tracked_at=NOW, deadline_at=NOW), "g"),
    ],
)
def test_records_that_know_their_generation_carry_its_trace(record, generation):
    told = dict(traced(1)(record))
    expected = None if generation is None else traceparent(root_span(FILE, generation), sampled=True)
    assert told.pop(TRACEPARENT, None) == expected
    assert told == dict(headers(record))


def test_a_job_that_is_not_sampled_says_so_in_its_header():
    record = Cancel(file_id=FILE, generation="g", issued_at=NOW)
    assert dict(traced(0)(record))[TRACEPARENT].endswith(b"-00")
