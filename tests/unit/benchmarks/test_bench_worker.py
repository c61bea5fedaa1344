"""A worker is seen from outside: its lines, its CPU time, its end."""

import os
import sys

import pytest
from benchmarks.medians import Failed
from benchmarks.peers.task import Task
from benchmarks.worker import Worker

BUSY = """
import time
print("begun", flush=True)
while time.process_time() < 0.3: pass
print("busy for 0.3", flush=True)
time.sleep(60)
"""


@pytest.fixture
def start(tmp_path):
    running = []

    def start(code, *marks):
        running.append(Worker([sys.executable, "-c", code], dict(os.environ), tmp_path / "log", marks))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def test_cpu_time_is_that_of_the_process_between_two_lines(start):
    worker = start(BUSY, "begun", "busy")
    begun, busy = worker.wait_for("begun", 10), worker.wait_for("busy", 10)
    assert 0.1 < busy.cpu - begun.cpu < 0.4
    assert busy.line == "busy for 0.3"
    assert busy.at > begun.at
    assert worker.rss() > 1_000_000


def test_a_process_that_ends_before_its_line_is_told_with_its_last_words(start):
    with pytest.raises(Failed, match="status 3: no broker"):
        start("print('no broker'); raise SystemExit(3)", "begun").wait_for("begun", 10)


def test_a_line_that_does_not_come_is_not_waited_for_for_ever(start):
    with pytest.raises(Failed, match="no “begun” within 0 s"):
        start("import time; time.sleep(60)", "begun").wait_for("begun", 0.1)


def test_a_process_that_has_ended_measures_nothing(start):
    worker = start("print('done')", "done")
    worker.wait_for("done", 10)
    worker.stop()
    with pytest.raises(Failed, match="ended with status"):
        worker.must_run()


def test_a_peer_reads_the_task_that_it_was_given(tmp_path, monkeypatch):
    task = Task("host:1", "group", "in", "out", "state", tmp_path, low_latency=True)
    for name, value in task.environment().items():
        monkeypatch.setenv(name, value)
    assert Task.read() == task
