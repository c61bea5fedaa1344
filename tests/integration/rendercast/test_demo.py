"""The demo as a new user meets it, and with its processes killed from outside."""

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

FIELDS = {
    "jobs", "completed", "failed", "timed_out", "upstream_reports", "announced", "lost", "announced_twice",
    "artifacts", "stored", "seconds",
}  # fmt: skip


@pytest.fixture
def demo(kafka, tmp_path):
    """Start a demo on the session's broker; its standard output and error go to files."""
    started = []

    def start(*arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RENDERCAST_")}
        environment |= {"RENDERCAST_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "TMPDIR": str(tmp_path)}
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("rendercast")), "demo", *arguments],
                env=environment, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def children(process):
    """{name: pid} of the demo's processes."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return {
        args.rpartition("-m rendercast ")[2].strip(): int(pid)
        for pid, parent, args in rows
        if int(parent) == process.pid and "-m rendercast " in args
    }


def topic_names(kafka):
    async def ask():
        async with admin(kafka) as client:
            return await client.list_topics()

    return asyncio.run(ask())


def text(tmp_path, name):
    return (tmp_path / name).read_text(errors="replace")


@pytest.mark.timeout(300)
def test_every_outcome_is_announced_once_though_processor_connector_and_sinks_are_killed(demo, kafka, tmp_path):
    process = demo("--json")
    eventually(lambda: "ready after" in text(tmp_path, "err") or process.poll() is not None, 90)
    for number, victim in enumerate(("processor", "connector", "sink chats", "sink storage", "processor"), 1):
        seen = number * 5
        eventually(lambda seen=seen: f"{seen:3}/40 " in text(tmp_path, "err") or process.poll() is not None, 90)
        os.kill(children(process)[victim], signal.SIGKILL)
    assert process.wait(150) == 0, text(tmp_path, "err")[-3000:]
    summary = json.loads(text(tmp_path, "out").splitlines()[-1])
    assert summary.keys() >= FIELDS
    assert (summary["jobs"], summary["announced"], summary["lost"], summary["announced_twice"]) == (40, 40, 0, 0)
    assert (summary["completed"], summary["failed"], summary["timed_out"]) == (36, 2, 2)
    assert (summary["artifacts"], summary["stored"]) == (36, 36)
    assert summary["upstream_reports"] >= summary["completed"]
    assert sum(summary["restarts"].values()) >= 5
    assert not [topic for topic in topic_names(kafka) if topic.startswith("demo-")]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "closed-terminal"])
def test_ctrl_c_stops_every_process_and_leaves_nothing_behind(demo, tmp_path, how):
    process = demo()
    eventually(lambda: " 2/40" in text(tmp_path, "out") or process.poll() is not None, 90)
    running = children(process)
    assert len(running) == 6
    process.send_signal(how)
    assert process.wait(40) == 130
    assert not [pid for pid in running.values() if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.glob("rendercast-demo*"))


@pytest.mark.timeout(60)
def test_ctrl_c_during_the_start_leaves_nothing_behind_either(demo, tmp_path):
    process = demo()
    eventually(lambda: children(process), 30, "the first child")
    running = children(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 130
    eventually(lambda: not [pid for pid in running.values() if Path(f"/proc/{pid}").exists()], 20)
    assert not list(tmp_path.glob("rendercast-demo*"))
