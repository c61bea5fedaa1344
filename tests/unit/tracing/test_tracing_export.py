"""Tracing costs nothing when off, and never holds a process up when on."""

import subprocess
import sys
import threading

import pytest
from harness import eventually
from otlp import Receiver, attributes
from prometheus_client import REGISTRY

from schemas import Completion, utcnow
from schemas.errors import StopProcess
from schemas.headers import headers
from schemas.ids import outcome_id
from schemas.trace import SpanId, root_span
from tracing import OFF, Event, TracingSettings, now, started
from tracing.exporter import BATCH, Exporter

FILE = "998d1234-5678-4abc-8def-0123456789ab"
NOW = utcnow()
JOB = Completion(
    id=outcome_id(FILE, "g", "failed"), outcome="failed", file_id=FILE, generation="g", kind="video",
    tracked_at=NOW, finished_at=NOW,
)  # fmt: skip
ROOT = root_span(FILE, "g")

EVERYTHING = """
import sys
import rendercast.cli.processes, rendercast.processor, rendercast.generating, rendercast.conversing
import connectors.upstream.service, connectors.chats.sink, connectors.storage.sink, connectors.gateway.gateway
from rendercast.settings import load
from tracing import OFF, started
with started(load().tracing, "x") as tracing:
    assert tracing is OFF
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from rendercast.cli import main
main(["connector"])
"""


def counted(result):
    return REGISTRY.get_sample_value("rendercast_tracing_spans_total", {"result": result}) or 0


def run(code, **more):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, **more)


def test_off_nothing_of_opentelemetry_is_imported_by_any_process():
    done = run(EVERYTHING)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_off_the_headers_are_the_very_function_that_was_used_without():
    assert OFF.headers is headers
    assert not OFF.traces(JOB)
    assert not OFF.is_on
    OFF.span(JOB, "x", NOW, NOW)


def test_where_the_extra_is_missing_a_process_that_shall_trace_says_what_to_install(monkeypatch):
    monkeypatch.setenv("RENDERCAST_TRACING__ENDPOINT", "http://localhost:4318/v1/traces")
    done = run(WITHOUT)
    assert done.returncode == 1
    assert "rendercast[tracing]" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_what_is_missing_is_an_operators_to_mend(monkeypatch):
    monkeypatch.setitem(sys.modules, "tracing.otlp", None)
    with pytest.raises(StopProcess, match=r"install rendercast\[tracing\]"), started(settings("http://x/"), "x"):
        pass


def settings(url, **more):
    return TracingSettings(endpoint=url, **more)


def test_a_span_arrives_as_it_was_told():
    link, at = SpanId(b"\x01" * 16, b"\x02" * 8), now()
    with Receiver() as receiver:
        with started(settings(receiver.url, service="site"), "processor") as tracing:
            tracing.span(JOB, "video job", NOW, at, {"rendercast.outcome": "failed"}, error="no", is_root=True)
            events = [Event("look", at, {"why": "poll"})]
            tracing.span(JOB, "watch", NOW, at, kind="consumer", events=events, link=link)
        (service, root), (_, child) = receiver.spans
    assert service == "site-processor"
    assert (root.trace_id, root.span_id, root.parent_span_id) == (*ROOT, b"")
    assert attributes(root) == {
        "rendercast.file_id": FILE, "rendercast.generation": "g", "rendercast.outcome": "failed",
    }  # fmt: skip
    assert (root.status.code, root.status.message) == (2, "no")
    assert root.start_time_unix_nano == round(NOW.timestamp() * 1000) * 1_000_000
    assert root.end_time_unix_nano // 1000 == round(at.timestamp() * 1_000_000)
    assert (child.trace_id, child.parent_span_id) == ROOT
    assert child.span_id not in {b"", ROOT.span}
    assert (child.kind, child.status.code) == (5, 0)
    assert [(each.name, each.attributes[0].value.string_value) for each in child.events] == [("look", "poll")]
    assert [(each.trace_id, each.span_id) for each in child.links] == [link]


def test_a_link_into_the_jobs_own_trace_is_none():
    with Receiver() as receiver:
        with started(settings(receiver.url), "x") as tracing:
            tracing.span(JOB, "watch", NOW, NOW, link=ROOT)
        [(_, span)] = receiver.spans
    assert not span.links


def test_of_a_job_that_is_not_sampled_no_process_tells_a_span():
    with Receiver() as receiver:
        for process in ("one", "other"):
            with started(settings(receiver.url, ratio=0), process) as tracing:
                assert tracing.is_on
                assert not tracing.traces(JOB)
                tracing.span(JOB, "watch", NOW, NOW)
        assert receiver.requests == 0


def test_spans_beyond_the_bound_are_dropped_and_counted_and_nobody_waits():
    """The endpoint hangs, and whoever tells spans is not held up: it would never get to the end of this test."""
    begun, go = threading.Event(), threading.Event()

    def hang(_):
        begun.set()
        return go.wait(60)

    dropped, sent = counted("dropped"), counted("sent")
    exporter = Exporter(hang, most=2 * BATCH)
    for number in range(BATCH):
        exporter.put(number)
    assert begun.wait(30)
    for number in range(2 * BATCH + 7):
        exporter.put(number)
    assert counted("dropped") - dropped == 7
    go.set()
    exporter.close(30)
    assert counted("sent") - sent == 3 * BATCH


def test_an_endpoint_that_refuses_or_is_not_there_fails_no_process_and_is_counted():
    failed = counted("failed")
    with Receiver(status=400) as receiver, started(settings(receiver.url), "x") as tracing:
        tracing.span(JOB, "watch", NOW, NOW)
        eventually(lambda: counted("failed") - failed == 1)
    with started(settings("http://127.0.0.1:1/"), "x") as tracing:
        tracing.span(JOB, "watch", NOW, NOW)
    eventually(lambda: counted("failed") - failed == 2)


def test_what_an_exporter_raises_is_counted_and_the_next_batch_is_sent():
    failed, sent = counted("failed"), counted("sent")
    answers = iter([RuntimeError("broken"), True])

    def send(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    exporter = Exporter(send, most=10)
    exporter.put(1)
    eventually(lambda: counted("failed") - failed == 1)
    exporter.put(2)
    eventually(lambda: counted("sent") - sent == 1)
    exporter.close()


def test_an_endpoint_that_hangs_does_not_keep_a_process_from_its_end():
    """It would answer after thirty seconds, and a process that waited for it would see the span there."""
    with Receiver() as receiver:
        receiver.open.clear()
        with started(settings(receiver.url, timeout_seconds=60), "x") as tracing:
            tracing.span(JOB, "watch", NOW, NOW)
            eventually(lambda: receiver.requests)
        assert receiver.spans == []
