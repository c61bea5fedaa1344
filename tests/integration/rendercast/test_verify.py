"""The verifier on a real broker: it disturbs, it finds what is wrong, and it leaves nothing behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import eventually

from rendercast.topics import admin

COUNTS = (
    "lost", "announced_twice", "unexpected", "stale_documents", "miscounted_documents", "unended_jobs",
    "open_watches", "dead_letters", "changed_by_reset",
)  # fmt: skip

TELLS_TWICE = """
import streams.machine
from schemas import Completion

advance = streams.machine.advance

def advance_and_tell_twice(job, event):
    found = advance(job, event)
    return found._replace(outputs=(*found.outputs, *[each for each in found.outputs if isinstance(each, Completion)]))

streams.machine.advance = advance_and_tell_twice
"""


@pytest.fixture
def verify(tmp_path):
    """Start `rendercast verify`; its standard output and error go to files."""
    started = []

    def start(*arguments, servers=None, **environment):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RENDERCAST_")},
            **({"RENDERCAST_KAFKA__BOOTSTRAP_SERVERS": servers} if servers else {}),
            "TMPDIR": str(tmp_path),
            **environment,
        }
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("rendercast")), "verify", "--seed", "1", "--json", *arguments],
                env=environment, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def text(tmp_path, name):
    return (tmp_path / name).read_text(errors="replace")


def report(tmp_path):
    return json.loads(text(tmp_path, "out").splitlines()[-1])


def topics_of_runs(kafka):
    async def ask():
        async with admin(kafka) as client:
            return [topic for topic in await client.list_topics() if topic.startswith("verify-")]

    return asyncio.run(ask())


@pytest.mark.timeout(180)
def test_killed_frozen_rolled_scaled_and_rewound_processors_keep_every_promise(verify, kafka, tmp_path):
    faults = ("kill", "freeze", "roll", "scale", "reset", "aborts")
    process = verify(
        "--jobs", "150", "--seconds", "12", "--faults", ",".join(faults), "--session-seconds", "1",
        servers=kafka.bootstrap_servers,
    )  # fmt: skip
    assert process.wait(150) == 0, text(tmp_path, "err")[-3000:]
    found = report(tmp_path)
    assert {name: found[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert (found["kept"], found["jobs"], found["seed"]) == (True, 150, 1)
    assert found["announced"] == found["outcomes"] > 150
    assert found["done"].keys() == {"kill", "freeze", "roll", "scale", "reset"}
    assert all(found["done"].values())
    assert found["aborted"] > 0
    assert found["exits"]["-9"] >= 1
    assert found["exits"]["0"] >= 3
    assert found["prefix"] not in {f"{topic.partition('.')[0]}." for topic in topics_of_runs(kafka)}
    assert not list(tmp_path.glob("rendercast-verify*"))


@pytest.mark.timeout(180)
def test_a_broker_that_is_killed_costs_nothing(own_broker, verify, tmp_path):
    process = verify("--jobs", "60", "--seconds", "6", "--faults", "broker")
    assert process.wait(150) == 0, text(tmp_path, "err")[-3000:]
    found = report(tmp_path)
    assert (found["kept"], found["done"]) == (True, {"broker": 1})
    assert found["announced"] == found["outcomes"]


@pytest.mark.timeout(120)
def test_a_processor_that_tells_an_outcome_twice_is_found_and_the_evidence_is_kept(verify, kafka, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(TELLS_TWICE)
    process = verify(
        "--jobs", "20", "--seconds", "2", "--faults", "none", "--session-seconds", "1",
        servers=kafka.bootstrap_servers, PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert process.wait(100) == 1, text(tmp_path, "err")[-3000:]
    found = report(tmp_path)
    assert (found["kept"], found["announced_twice"], found["lost"]) == (False, found["outcomes"], 0)
    evidence = Path(found["evidence"])
    assert list(evidence.glob("processor-*.log"))
    records = [json.loads(line) for line in (evidence / "records.jsonl").read_text().splitlines()]
    assert {record["key"] for record in records} >= set(found["files"])


@pytest.mark.timeout(120)
def test_ctrl_c_ends_the_workers_and_deletes_the_topics(verify, kafka, tmp_path):
    before = set(topics_of_runs(kafka))
    process = verify(
        "--jobs", "50", "--seconds", "60", "--faults", "freeze", "--session-seconds", "1",
        servers=kafka.bootstrap_servers,
    )  # fmt: skip
    eventually(lambda: "are ready" in text(tmp_path, "err") or process.poll() is not None, 60)
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 130, text(tmp_path, "err")[-3000:]
    assert set(topics_of_runs(kafka)) <= before
    assert not list(tmp_path.glob("rendercast-verify*"))
