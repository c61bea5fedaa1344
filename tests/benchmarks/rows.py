"""Artifacts into Postgres: the chat sink, and a consumer that writes row by row."""

import asyncio
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import postgres
import psycopg
from benchmarks import engines
from benchmarks.medians import Failed
from benchmarks.site import Site
from benchmarks.work import Sent
from benchmarks.worker import Worker

from connectors.chats.database import upgrade
from schemas import Artifact, ChatRef, Stored
from schemas.codec import encode
from schemas.headers import headers

OURS, ROW_BY_ROW = "rendercast", "plain consumer, row by row"
PARTITIONS = 4
ROW_BY_ROW_SECONDS = 15
"""So long the slow side is looked at; then its pace is known."""
LIMIT_SECONDS = 300
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Written:
    """`pace` in records per second, between the first commit that was seen and the last."""

    pace: float


class Rows:
    """The same records on topics that both sides read, each into a database of its own with the sink's schema."""

    def __init__(self, site: Site, server: str, files: int) -> None:
        self._site, self._server, self._files = site, server, files
        self._topics = site.topics(PARTITIONS)
        artifacts, stored = records(files)
        site.cluster.load(self._topics.names.artifacts, artifacts)
        site.cluster.load(self._topics.names.stored, stored)
        self.records = len(artifacts) + len(stored)

    def measure(self, name: str) -> Written:
        with postgres.database(self._server) as url:
            asyncio.run(upgrade(url))
            return self._measured(name, url)

    def _measured(self, name: str, url: str) -> Written:
        group = self._site.name("group")
        names = self._topics.names
        seen: list[tuple[float, int]] = []

        def look(done: int) -> None:
            worker.must_run()
            if done and (not seen or done > seen[-1][1]):
                seen.append((time.monotonic(), done))

        def is_enough() -> bool:
            return name != OURS and bool(seen) and time.monotonic() - seen[0][0] > ROW_BY_ROW_SECONDS

        with self._started(name, url, group) as worker:
            whole = names.prefix + group if name == OURS else group
            self._site.cluster.until_committed(whole, [names.artifacts, names.stored], LIMIT_SECONDS, look, is_enough)
        if name == OURS:
            self._require_all(url)
        (begin, first), (end, last) = seen[0], seen[-1]
        if last == first:
            raise Failed("all was committed at once: too little work for a pace")
        return Written((last - first) / (end - begin))

    def _started(self, name: str, url: str, group: str) -> Worker:
        if name == OURS:
            command = [sys.executable, "-m", "rendercast", "sink", "chats"]
        else:
            command = [sys.executable, "-m", "benchmarks.peers.row_by_row"]
        environment = engines.environment(
            RENDERCAST_KAFKA__BOOTSTRAP_SERVERS=self._site.cluster.servers,
            RENDERCAST_TOPICS__PREFIX=self._topics.prefix,
            RENDERCAST_TOPICS__PARTITIONS=str(PARTITIONS),
            RENDERCAST_MONITORING__PORT="0",
            RENDERCAST_CHATS__URL=url,
            RENDERCAST_CHATS__GROUP_ID=group,
        )
        return Worker(command, environment, engines.log(name))

    def _require_all(self, url: str) -> None:
        """Speed counts for nothing if the rows are not the right ones."""
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT count(*), count(durable_url), min(version), max(version) FROM artifact"
            ).fetchone()
        if found != (self._files, self._files, VERSIONS, VERSIONS):
            raise Failed(f"wrong rows: {found}")


VERSIONS = 6
"""Records of one file: asked for, four times further, done."""


def records(files: int, seed: int = 1) -> tuple[list[Sent], list[Sent]]:
    """Artifacts of all files, mixed, each file's in order; and where the copies are."""
    chance = random.Random(seed)
    ids = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(files)]
    chats = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(max(1, files // 10))]
    turns = [each for each in range(files) for _ in range(VERSIONS)]
    chance.shuffle(turns)
    versions = [count(1) for _ in ids]
    artifacts = [
        _sent(number, artifact(ids[number], next(versions[number]), chats[number % len(chats)])) for number in turns
    ]
    return artifacts, [_sent(number, stored(each)) for number, each in enumerate(ids)]


def artifact(file_id: str, version: int, chat_id: str) -> Artifact:
    is_done = version == VERSIONS
    return Artifact(
        file_id=file_id, generation="video_1735230000000_k3j2h1g0f", version=version, kind="video",
        status="completed" if is_done else "processing", progress=100 if is_done else version * 15,
        outcome="completed" if is_done else None, url=f"https://cdn.example.com/{file_id}.mp4" if is_done else None,
        prompt="a lighthouse in a storm, seen from the sea", chat=ChatRef(chat_id=chat_id),
        deadline_at=START + timedelta(minutes=15), tracked_at=START, updated_at=START + timedelta(seconds=version),
        finished_at=START + timedelta(seconds=version) if is_done else None,
    )  # fmt: skip


def stored(file_id: str) -> Stored:
    return Stored(
        file_id=file_id, generation="video_1735230000000_k3j2h1g0f", url=f"https://cdn.example.com/{file_id}.mp4",
        kind="video", location=f"s3://copies/{file_id}.mp4", bytes=1_000_000, sha256="0" * 64,
        content_type="video/mp4", stored_at=START,
    )  # fmt: skip


def _sent(number: int, record: Artifact | Stored) -> Sent:
    return Sent(number % PARTITIONS, record.file_id.encode(), encode(record), headers(record))
