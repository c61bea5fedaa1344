"""How a process ends, and how often it did."""

import os
import subprocess
import sys

import pytest
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    ProducerFenced,
    RequestTimedOutError,
)

from schemas.errors import RejectRecord, StopProcess
from streams.exactly_once import exits
from streams.exactly_once.exits import EXIT_STATUS, Ledger, end_process, end_process_after, remember_in


class Ended(BaseException):
    """In the place of `os._exit`."""


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """Where ends are written; ends of the process are exceptions with its status."""

    def exit_with(status):
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", exit_with)
    monkeypatch.setattr(exits, "_ledgers", [])
    ledger = Ledger(tmp_path)
    remember_in(ledger)
    return ledger


@pytest.mark.parametrize(
    ("error", "why", "status"),
    [
        (StopProcess("the topic is damaged"), "operator", 1),
        (ProducerFenced(), "fenced", 70),
        (InvalidProducerEpoch(), "fenced", 70),
        (KafkaConnectionError("gone"), "aborted", 70),
        (RequestTimedOutError(), "aborted", 70),
        (KafkaError("anything"), "aborted", 70),
        (TimeoutError(), "timeout", 70),
        (RejectRecord("invalid", "a record"), "crash", 70),
        (ZeroDivisionError(), "crash", 70),
        (KeyboardInterrupt(), "crash", 70),
    ],
    ids=repr,
)
def test_an_error_is_classed_and_only_what_needs_an_operator_has_status_1(ledger, error, why, status):
    with pytest.raises(Ended) as ended:
        end_process_after(error, "a step failed", partition=3)
    assert ended.value.args == (status,)
    assert {each: times for each, times in ledger.counts().items() if times} == {why: 1}


def test_an_errors_own_facts_and_those_of_where_it_was_met_may_have_the_same_names(ledger):
    with pytest.raises(Ended):
        end_process_after(StopProcess("the topic is damaged", partition=4), "a step failed", partition=3)


@pytest.mark.parametrize("why", ["operator", "lost_delivery", "crash"])
def test_the_status_says_whether_a_restart_helps(ledger, why):
    with pytest.raises(Ended) as ended:
        end_process("words", why)
    assert ended.value.args == (1 if why == "operator" else EXIT_STATUS,)


def test_ends_are_counted_over_processes_of_one_directory(ledger, tmp_path):
    assert set(ledger.counts().values()) == {0}
    for why in ("fenced", "timeout", "fenced"):
        ledger.add(why)
    found = Ledger(tmp_path).counts()
    assert (found["fenced"], found["timeout"], found["operator"]) == (2, 1, 0)


ENDS = """
import asyncio, sys, threading
from pathlib import Path
from streams.exactly_once.exits import Ledger, end_process_after, remember_in

remember_in(Ledger(Path(sys.argv[1])))

async def fail():
    try:
        raise LookupError("in a lane")
    except BaseException as error:
        try:
            end_process_after(error, "a step failed", partition=3)
        finally:
            print("a handler ran")

{how}
print("it lives on")
"""


def run(how, directory, **streams):
    """A process that fails: its own, because it has to be gone afterwards."""
    script = [sys.executable, "-c", ENDS.replace("{how}", how), str(directory)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(script, text=True, timeout=60, check=False, **streams)


@pytest.mark.parametrize(
    "how",
    [
        "asyncio.run(fail())",
        "thread = threading.Thread(target=asyncio.run, args=(fail(),)); thread.start(); thread.join()",
    ],
    ids=["in the main thread", "in another thread"],
)
def test_the_process_is_gone_at_once_whichever_thread_fails(tmp_path, how):
    ended = run(how, tmp_path)
    assert ended.returncode == EXIT_STATUS, ended.stderr
    assert "a step failed" in ended.stdout + ended.stderr
    assert "a handler ran" not in ended.stdout
    assert "it lives on" not in ended.stdout
    assert Ledger(tmp_path).counts()["crash"] == 1


def test_a_directory_that_cannot_be_written_keeps_no_process_alive(tmp_path):
    ended = run("asyncio.run(fail())", tmp_path / "is" / "not" / "there")
    assert ended.returncode == EXIT_STATUS, ended.stderr
    assert "a handler ran" not in ended.stdout


def test_an_output_that_nobody_reads_any_more_keeps_no_process_alive(tmp_path):
    read, write = os.pipe()
    os.close(read)
    try:
        ended = run("asyncio.run(fail())", tmp_path, stdout=write)
    finally:
        os.close(write)
    assert ended.returncode == EXIT_STATUS, ended.stderr
