"""Jobs by hand, on a real Kafka and a real processor."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from harness import Process, eventually, read, send

from schemas import Progress, Result, utcnow
from schemas.codec import decode_command


@pytest.fixture
def rendercast(kafka, topics):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RENDERCAST_")}
    environment |= {
        "RENDERCAST_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "RENDERCAST_TOPICS__PREFIX": topics.prefix,
        "RENDERCAST_TOPICS__PARTITIONS": str(topics.partitions),
    }
    program = str(Path(sys.executable).with_name("rendercast"))

    def start(*arguments):
        return subprocess.Popen(
            [program, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def finish(process):
    out, err = process.communicate(timeout=40)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def test_a_file_is_tracked_shown_watched_checked_and_its_end_told(rendercast, kafka, topics, tmp_path):
    file_id = str(uuid.uuid4())
    processor = Process("processor", tmp_path, kafka, topics)
    try:
        code, [sent], _ = finish(rendercast("jobs", "track", file_id.upper(), "--kind", "video", "--request-id", "r1"))
        assert (code, sent["file_id"], sent["request_id"]) == (0, file_id, "r1")
        eventually(lambda: finish(rendercast("jobs", "show", file_id))[0] == 0, 40, "the job is there")
        watching = rendercast("jobs", "watch", file_id)
        first = json.loads(watching.stdout.readline())
        assert (first["status"], first["generation"]) == ("pending", "r1")
        assert finish(rendercast("jobs", "check", file_id))[0] == 0
        moment = {"file_id": file_id, "source": "sse", "observed_at": utcnow()}
        send(kafka, topics.names.upstream, [Progress(**moment, progress=40)])
        while json.loads(watching.stdout.readline())["progress"] != 40:
            pass
        send(kafka, topics.names.upstream, [Result(**moment, url="https://x.example/a.mp4")])
        code, [last], _ = finish(watching)
        assert (code, last["outcome"], last["url"]) == (0, "completed", "https://x.example/a.mp4")
        assert not {"applied", "chats", "earlier"} & last.keys()  # the processor's memory is nobody's business
        kinds = [decode_command(each.value).type for each in read(kafka, topics.names.commands)]
        assert kinds == ["track", "check"]
    finally:
        assert processor.stop() == 0


def test_an_unknown_file_is_told_with_status_1(rendercast):
    file_id = str(uuid.uuid4())
    code, out, err = finish(rendercast("jobs", "show", file_id))
    assert (code, out) == (1, [])
    assert f"no job of {file_id}" in err


def test_watching_a_cancelled_job_ends_with_status_1(rendercast, kafka, topics, tmp_path):
    file_id = str(uuid.uuid4())
    processor = Process("processor", tmp_path, kafka, topics)
    try:
        finish(rendercast("jobs", "track", file_id, "--kind", "image"))
        watching = rendercast("jobs", "watch", file_id)
        assert json.loads(watching.stdout.readline())["status"] == "pending"
        finish(rendercast("jobs", "cancel", file_id))
        code, lines, _ = finish(watching)
        assert (code, lines[-1]["outcome"], lines[-1]["reason"]) == (1, "cancelled", "cancelled")
    finally:
        processor.kill()


def test_faust_itself_can_start_the_processor(kafka, topics, tmp_path):
    environment = {
        **os.environ,
        "RENDERCAST_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "RENDERCAST_TOPICS__PREFIX": topics.prefix,
        "RENDERCAST_TOPICS__PARTITIONS": str(topics.partitions),
        "RENDERCAST_PROCESSOR__DATA_DIRECTORY": str(tmp_path),
    }
    file_id = str(uuid.uuid4())
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [str(Path(sys.executable).with_name("faust")), "-A", "streams.app", "worker", "--without-web"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        from rendercast import jobs
        from rendercast.settings import Settings
        from schemas import Track

        settings = Settings(kafka=kafka, topics=topics)
        command = Track(file_id=file_id, kind="video", issued_at=utcnow())
        asyncio.run(jobs.send(settings, [command]))
        eventually(lambda: asyncio.run(jobs.show(settings, file_id)), 40, "the worker has made the job")
    finally:
        worker.terminate()
        assert worker.wait(15) == 0
