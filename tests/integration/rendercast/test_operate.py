"""Topics that were lost, brought back by the words of docs/operate.md alone."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from harness import Process, eventually, read, send

from brokers import arguments
from rendercast.settings import kafka_variables
from schemas import ChatRef, Completion, Progress, Result, Track, utcnow
from schemas.codec import decode_completion, decode_job, decode_watch

WORDS = (Path(__file__).parents[3] / "docs/operate.md").read_text()
PICTURE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(64)
QUICK = {"processor__session_timeout": 6, "processor__heartbeat_interval": 1}


def blocks(heading):
    """The command blocks of a section, each as its lines."""
    section = re.search(rf"^### {heading}\n(.*?)(?=^##)", WORDS, re.MULTILINE | re.DOTALL)[1]
    return [
        re.findall(r"^    (.*)$", each, re.MULTILINE) for each in re.split(r"\n(?=\S)", section) if "\n    " in each
    ]


@pytest.fixture
def run(kafka, topics, tmp_path):
    """Runs the lines of a block as a shell would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RENDERCAST_")}
    environment |= kafka_variables(kafka) | {
        "RENDERCAST_TOPICS__PREFIX": topics.prefix, "RENDERCAST_TOPICS__PARTITIONS": str(topics.partitions),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip

    def shell(lines):
        for line in lines:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", line.replace("topics remake", "topics remake --yes")],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)

    return shell


def lose(kafka, *names):
    async def delete():
        client = AIOKafkaAdminClient(**arguments(kafka))
        await client.start()
        await client.delete_topics(list(names))
        await client.close()

    asyncio.run(delete())


def documents(kafka, topics):
    return {
        each.key.decode(): decode_job(each.value) for each in read(kafka, topics.names.jobs) if each.value is not None
    }


@pytest.fixture
def begun(kafka, topics, tmp_path):
    """A processor with three jobs: one has ended, one is on its way in two chats, one was just tracked."""
    processor = Process("processor", tmp_path, kafka, topics, **QUICK)
    ended, moving, fresh = (str(uuid.uuid4()) for _ in range(3))
    now = utcnow()
    chats = [ChatRef(chat_id=str(uuid.uuid4())) for _ in range(2)]
    tracks = [Track(file_id=each, kind="video", request_id="r1", issued_at=now) for each in (ended, fresh)]
    tracks += [Track(file_id=moving, kind="video", request_id="r1", chat=each, issued_at=now) for each in chats]
    send(kafka, topics.names.commands, tracks)
    eventually(lambda: len(documents(kafka, topics)) == 3, 60)
    send(
        kafka, topics.names.upstream,
        [
            Result(file_id=ended, source="sse", observed_at=utcnow(), url="https://x.example/ended"),
            Progress(file_id=moving, source="sse", observed_at=utcnow(), progress=40),
        ],
    )  # fmt: skip
    eventually(lambda: documents(kafka, topics)[ended].outcome and documents(kafka, topics)[moving].progress == 40)
    yield processor, ended, moving, fresh
    if processor.status is None:
        processor.stop()


def end(kafka, topics, *files):
    send(
        kafka, topics.names.upstream,
        [Result(file_id=each, source="poll", observed_at=utcnow(), url=f"https://x.example/{each}") for each in files],
    )  # fmt: skip
    eventually(lambda: all(documents(kafka, topics)[each].outcome == "completed" for each in files))


def told(kafka, topics):
    return [decode_completion(each.value).id for each in read(kafka, topics.names.completions)]


def test_jobs_is_lost(kafka, topics, run, begun):
    processor, ended, moving, fresh = begun
    before = documents(kafka, topics)
    (repair,) = blocks("The topic jobs")
    processor.stop()
    lose(kafka, topics.names.jobs)
    run(repair)
    processor.start()
    eventually(lambda: len(documents(kafka, topics)) == 3 and documents(kafka, topics)[moving].progress == 40, 60)
    after = documents(kafka, topics)
    assert {each: after[each].outcome for each in after} == {ended: "completed", moving: None, fresh: None}
    assert set(after[moving].chats) == set(before[moving].chats)
    end(kafka, topics, moving, fresh)
    assert len(set(told(kafka, topics))) == 3, "what is announced again has the id that it had"


def test_a_source_topic_is_lost(kafka, topics, run, begun):
    processor, _, moving, fresh = begun
    before = documents(kafka, topics)
    first, second = blocks("The topics commands or upstream")
    processor.stop()
    lose(kafka, topics.names.commands)
    run(first)
    processor.start()
    run(second)
    eventually(lambda: len(documents(kafka, topics)) == 2 and documents(kafka, topics)[moving].version == 2, 60)
    after = documents(kafka, topics)
    assert set(after) == {moving, fresh}
    for each in after:
        assert after[each].generation == "r1"
        assert set(after[each].chats) == set(before[each].chats)
        assert abs(after[each].deadline_at - before[each].deadline_at).total_seconds() < 5
    end(kafka, topics, moving, fresh)
    assert len(told(kafka, topics)) == len(set(told(kafka, topics))) == 3


def test_watches_is_lost(kafka, topics, run, begun):
    processor, _, moving, fresh = begun
    first, second = blocks("The topic watches")
    lose(kafka, topics.names.watches)
    run(first)
    run(second)

    def watched():
        return {decode_watch(each.value).file_id for each in read(kafka, topics.names.watches) if each.value}

    eventually(lambda: watched() == {moving, fresh}, 60)
    assert processor.status is None


def test_positions_is_lost(kafka, topics, run, begun):
    processor, _, moving, fresh = begun
    (repair,) = blocks("The topic positions")
    processor.stop()
    lose(kafka, topics.names.positions)
    run(repair)
    processor.start()
    end(kafka, topics, moving, fresh)
    assert len(told(kafka, topics)) == len(set(told(kafka, topics))) == 3


def test_artifacts_and_stored_are_lost_under_a_chat_sink(kafka, topics, run, begun, tmp_path):
    processor, _, moving, fresh = begun
    database = tmp_path / "chats.db"
    (repair, forget, _) = blocks("The topics completions, artifacts, storage, stored or dead-letters")
    forget = [f"RENDERCAST_CHATS__URL=sqlite:///{database} {each}" for each in forget]
    run([f"RENDERCAST_CHATS__URL=sqlite:///{database} rendercast db upgrade"])
    sink = Process("sink chats", tmp_path, kafka, topics, chats__url=f"sqlite:///{database}")

    def shown():
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute("SELECT file_id, status FROM artifact").fetchall()
        return Counter((str(uuid.UUID(file)), status) for file, status in rows)

    try:
        sink.wait_ready()
        eventually(lambda: shown() == {(moving, "processing"): 2}, 60)
        lose(kafka, topics.names.artifacts, topics.names.stored)
        eventually(lambda: "waiting for partitions" in sink.get("/readyz"), 60)
        with pytest.raises(AssertionError, match="a chat sink still runs"):
            run(forget)
        sink.stop()
        run(repair)
        run(forget)
        if processor.status is not None:
            processor.start()
        end(kafka, topics, moving, fresh)
        sink.start()
        eventually(lambda: shown() == {(moving, "completed"): 2}, 60)
    finally:
        sink.stop()


class Media(BaseHTTPRequestHandler):
    """Any path is a small picture."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    """Where the upstream keeps its media: its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Media) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_copies_that_were_never_made_and_those_of_a_store_that_was_lost_are_fetched(kafka, topics, run, host, tmp_path):
    store = tmp_path / "store"
    run(["rendercast topics apply"])
    found = Completion(
        id="i", file_id=str(uuid.uuid4()), generation="g", kind="image", outcome="completed", url=f"http://{host}/a.png",
        tracked_at=utcnow(), finished_at=utcnow(),
    )  # fmt: skip
    send(kafka, topics.names.completions, [found])
    sink = Process(
        "sink storage", tmp_path, kafka, topics, storage__store_url=store.as_uri(), storage__allow_http="true",
        storage__allow_private_hosts=f'["{host}"]',
    )  # fmt: skip

    def in_the_store(lines):
        run([f"export RENDERCAST_STORAGE__STORE_URL={store.as_uri()}; {each}" for each in lines])

    def copies():
        return [each.read_bytes() for each in store.rglob("*.png")]

    try:
        sink.wait_ready()
        in_the_store(blocks("The topics completions, artifacts, storage, stored or dead-letters")[2])
        eventually(lambda: read(kafka, topics.names.stored), 60)
        for each in store.iterdir():
            shutil.rmtree(each)
        look, mend = blocks("The object store")
        with pytest.raises(AssertionError, match="missing"):
            in_the_store(look)
        in_the_store(mend)
        eventually(lambda: len(read(kafka, topics.names.stored)) == 2, 60)
        assert copies() == [PICTURE]
        in_the_store(look)
    finally:
        sink.stop()


def test_what_is_in_use_is_not_deleted(kafka, topics, run, begun):
    processor = begun[0]
    with pytest.raises(
        AssertionError, match=r"still running, and using these topics: processor. Stop all of them first"
    ):
        run(["rendercast topics remake jobs"])
    assert len(documents(kafka, topics)) == 3
    assert processor.status is None
    with pytest.raises(AssertionError, match="no topic of ours"):
        run(["rendercast topics remake nope"])


def test_commands_with_a_wrong_line_among_them_are_not_sent(kafka, topics, run, tmp_path):
    good = f'{{"type":"check","file_id":"{uuid.uuid4()}","issued_at":"2026-01-02T03:04:05Z"}}'
    (tmp_path / "commands.jsonl").write_text(f'{good}\n{{"type":"check"}}\n')
    with pytest.raises(AssertionError, match=r"line 2: .*file_id"):
        run(["rendercast jobs send < commands.jsonl"])
    assert read(kafka, topics.names.commands) == []
    (tmp_path / "commands.jsonl").write_text(f"{good}\n\n")
    run(["rendercast jobs send < commands.jsonl"])
    assert len(read(kafka, topics.names.commands)) == 1
