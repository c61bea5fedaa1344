"""Records, rows and running sinks for the tests of this folder."""

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from harness import eventually
from sqlalchemy import create_engine, make_url, select

from connectors.chats.rows import Entry
from connectors.chats.settings import ChatsSettings
from connectors.chats.sink import ChatSink
from connectors.chats.tables import own_tables
from schemas import Artifact, Stored, utcnow

CHILD = Path(__file__).with_name("child.py")
TRACKED_AT = utcnow()


def new_id():
    return str(uuid.uuid4())


def artifact(file_id, version=1, *, chat=None, message=None, generation="g1", status="processing", **fields):
    if status == "completed":
        fields.setdefault("url", f"https://cdn.example.com/{file_id}/{generation}.mp4")
    return Artifact(
        file_id=file_id, generation=generation, version=version, kind="video", status=status,
        chat={"chat_id": chat or new_id(), "message_id": message}, deadline_at=TRACKED_AT + timedelta(minutes=15),
        tracked_at=TRACKED_AT, updated_at=TRACKED_AT + timedelta(seconds=version % 1000), **fields,
    )  # fmt: skip


def stored(file_id, generation="g1", role="media"):
    return Stored(
        file_id=file_id, generation=generation, role=role, url="https://cdn.example.com/x.mp4", kind="video",
        location=location(file_id, generation, role), bytes=3, sha256="0" * 64, content_type="video/mp4",
        stored_at=utcnow(),
    )  # fmt: skip


def location(file_id, generation="g1", role="media"):
    return f"file:///store/{role}/{file_id}/{generation}"


def entries(*records, start=0, partition=0):
    """The records in a row on their topics, from offset `start` of each."""
    ends = {"artifacts": start, "stored": start}
    found = []
    for record in records:
        topic = "artifacts" if isinstance(record, Artifact) else "stored"
        found.append(Entry(SimpleNamespace(topic=topic, partition=partition, offset=ends[topic]), record))
        ends[topic] += 1
    return found


def query(url, statement):
    """The rows, read by a connection of its own."""
    made = make_url(url)
    driver = "sqlite" if made.drivername.startswith("sqlite") else "postgresql+psycopg"
    engine = create_engine(made.set(drivername=driver))
    try:
        with engine.begin() as connection:
            found = connection.execute(statement)
            return [row._asdict() for row in found] if found.returns_rows else []
    finally:
        engine.dispose()


def rows(url, table, prefix=""):
    return query(url, select(own_tables(prefix).metadata.tables[f"{prefix}{table}"]))


def by_file(url, prefix=""):
    """Artifacts by file id, each file having one."""
    found = rows(url, "artifact", prefix)
    files = {str(row["file_id"]): row for row in found}
    assert len(files) == len(found)
    return files


def versions(url):
    return {file: row["version"] for file, row in by_file(url).items()}


def landed(url, prefix=""):
    """How many records the database says that it has read, of both topics."""
    return sum(row["next_offset"] for row in rows(url, "consumer_offset", prefix))


def settings(url, local=None, **fields):
    return ChatsSettings(url=url, local_url=local, session_timeout_seconds=6, **fields)


@asynccontextmanager
async def running(sink):
    """The sink as a task of this process; what it raises, the test raises."""
    stop = asyncio.Event()
    task = asyncio.create_task(sink.run(stop))
    try:
        yield task, stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 15)


@asynccontextmanager
async def running_sink(kafka, topics, url, local=None, **fields):
    sink = ChatSink(settings(url, local, **fields), kafka, topics.names)
    async with running(sink) as (sink.task, sink.stop):
        yield sink


async def until(condition, seconds=30):
    """`eventually`, while this process goes on with its other tasks."""
    return await asyncio.to_thread(eventually, condition, seconds)


class Child:
    """The sink as a process of its own, which kills or stops itself at a named point (see child.py)."""

    def __init__(self, kafka, topics, url, log, *, at=None, act="kill", **fields):
        told = {
            "kafka": kafka.model_dump(), "prefix": topics.prefix, "at": at, "act": act,
            "settings": {"url": url, "session_timeout_seconds": 6, **fields},
        }  # fmt: skip
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen([sys.executable, CHILD, json.dumps(told)], stdout=out, stderr=out)

    @property
    def log(self):
        return self._log.read_text()

    @property
    def status(self):
        return self._process.poll()

    def signal(self, number):
        self._process.send_signal(number)

    def wait_killed(self):
        try:
            assert self._process.wait(30) == -signal.SIGKILL, self.log
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self.log}") from None

    def stop(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        assert self._process.wait(15) == 0, self.log

    def end(self):
        """Whatever state it is in."""
        if self.status is None:
            self._process.kill()
            self._process.wait(10)
