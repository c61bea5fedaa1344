"""`rendercast top` and `rendercast jobs list`, beside a processor that works."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from harness import Process, eventually, send

from rendercast.jobs import Filters, find
from rendercast.settings import Settings, kafka_variables
from rendercast.top.watch import Watch
from schemas import Result, Track, utcnow


@pytest.fixture
def settings(kafka, topics):
    return Settings(kafka=kafka, topics=topics)


def tracks(number, **fields):
    now = utcnow()
    return [
        Track(file_id=str(uuid.uuid4()), kind="video", request_id="r", issued_at=now, **fields) for _ in range(number)
    ]


def test_what_top_shows_is_what_goes_on(settings, kafka, topics, tmp_path):
    looked = []

    async def look(until):
        async with asyncio.timeout(60):
            async for each in Watch(settings).figures(0.2):
                looked.append(each)
                if until(each):
                    break
        return looked[-1]

    files = tracks(5)
    send(kafka, topics.names.commands, files)
    before = asyncio.run(look(lambda each: True))
    assert (before.unfinished, before.oldest_seconds, before.lag["processor"]) == ({}, None, None)
    assert before.rates["commands"] is None
    processor = Process("processor", tmp_path, kafka, topics)
    try:
        asyncio.run(look(lambda each: each.unfinished == {"pending": 5} and each.lag["processor"] == 0))
        results = [
            Result(file_id=each.file_id, source="poll", observed_at=utcnow(), url="https://x.example/a")
            for each in files[:3]
        ]
        send(kafka, topics.names.upstream, results)
        after = asyncio.run(look(lambda each: each.outcomes == {"completed": 3} and len(looked) > 3))
    finally:
        processor.stop()
    assert after.unfinished == {"pending": 2}
    assert after.won_by == {"poll": 3}
    assert after.oldest_file in {each.file_id for each in files[3:]}
    assert set(after.lag) == {"processor", "chats", "storage"}, "those whose offsets are committed"
    assert list(after.rates) == [each.name.removeprefix(topics.prefix) for each in topics.names.specs()]


def test_the_command_tells_json_lines_where_it_is_piped(settings, kafka, topics):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RENDERCAST_")}
    environment |= kafka_variables(kafka) | {
        "RENDERCAST_TOPICS__PREFIX": topics.prefix, "RENDERCAST_TOPICS__PARTITIONS": str(topics.partitions),
    }  # fmt: skip
    program = str(Path(sys.executable).with_name("rendercast"))
    with subprocess.Popen([program, "top", "--interval", "0.2"], env=environment, stdout=subprocess.PIPE) as running:
        first, second = json.loads(running.stdout.readline()), json.loads(running.stdout.readline())
        running.terminate()
    assert first["rates"]["jobs"] is None
    assert second["rates"]["jobs"] == 0
    once = subprocess.run([program, "top", "--once"], env=environment, capture_output=True, text=True, check=True)
    assert "unfinished jobs" in once.stdout


def test_jobs_are_listed_by_what_they_are(settings, kafka, topics, tmp_path):
    project = str(uuid.uuid4())
    mine, others = tracks(2, project_id=project), tracks(1, deadline_seconds=0.2)
    send(kafka, topics.names.commands, [*mine, *others])
    send(
        kafka, topics.names.upstream,
        [Result(file_id=mine[0].file_id, source="sse", observed_at=utcnow(), url="https://x.example/a")],
    )  # fmt: skip

    def listed(**filters):
        return [each.file_id for each in asyncio.run(find(settings, Filters(**filters)))]

    processor = Process("processor", tmp_path, kafka, topics)
    try:
        eventually(lambda: len(listed()) == 3 and listed(status="completed"), 40, "all are there")
    finally:
        processor.stop()
    assert listed()[2] == mine[0].file_id, "what has ended comes last"
    assert listed(project_id=project, status="pending") == [mine[1].file_id]
    eventually(lambda: listed(overdue=True) == [others[0].file_id])
    assert listed(kind="image") == []
