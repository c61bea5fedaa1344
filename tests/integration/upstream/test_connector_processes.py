"""Connectors as processes, killed, stopped and joined by others while jobs run: every result is told."""

import asyncio
import random
import re
import signal
import uuid
from datetime import timedelta

import httpx
import pytest
from harness import Process, eventually, read, send

from rendercast import topics as admin
from rendercast.broker.local import LocalBroker
from schemas import Watch, utcnow
from schemas.codec import decode_observation
from schemas.settings import KafkaSettings, TopicSettings

JOBS = 300
FAULTS = {
    "stream_drop": 0.2, "stream_reset": 0.1, "stream_silent": 0.05, "stream_524": 0.05, "result_lost": 0.2,
    "rate_limit": 0.02, "server_error": 0.05, "not_found_at_first": 0.2, "duplicate_frames": 0.2, "junk": 0.2,
    "nameless_frames": 0.2, "late_subscription": 0.2,
}  # fmt: skip
QUICK = {
    "connector__connects_per_second": 500, "connector__requests_per_second": 1000, "connector__bytes_seconds": 5,
    "connector__poll_after_seconds": 2, "connector__first_byte_seconds": 3, "connector__backoff_cap_seconds": 3,
    "connector__events_seconds": 6, "connector__job_seconds": 8,
}  # fmt: skip


needs_own_broker = pytest.mark.usefixtures("own_broker")


class Upstream:
    """A simulator as a process, and its admin calls."""

    def __init__(self, directory, kafka, topics, **faults) -> None:
        rates = {f"simulator__faults__{name}": rate for name, rate in faults.items()}
        settings = {"simulator__ping_seconds": 1, "simulator__timeout_524_seconds": 2, **rates}
        self.process = Process("simulator", directory, kafka, topics, **settings)
        found = eventually(lambda: re.search(r'"url": "([^"]+)"', self.process.log))
        self.url = found[1]
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def job(self, seconds: float, project_id: str | None = None) -> Watch:
        """A file in the making, and its watch."""
        body = {"seconds": seconds, "kind": "video", "project_id": project_id}
        file_id = self.http.post("/__script", json=body).json()["id"]
        now = utcnow()
        return Watch(
            file_id=file_id, generation="one", kind="video", tracked_at=now, deadline_at=now + timedelta(minutes=10),
            project_id=project_id,
        )  # fmt: skip

    def record(self) -> dict:
        return self.http.get("/__record").json()

    def urls(self) -> dict[str, str]:
        """What the upstream has made, by file."""
        files = self.record()["files"]
        return {each: made["generations"][-1]["url"] for each, made in files.items() if made["ended"] == "completed"}


def connector(directory, kafka, topics, upstream, **more) -> Process:
    return Process(
        "connector", directory, kafka, topics, connector__base_url=upstream.url,
        connector__token="simulator-token", **{**QUICK, **more},
    )  # fmt: skip


def told(kafka, topics) -> dict[str, set[str]]:
    """The URLs on the topic, by file."""
    found: dict[str, set[str]] = {}
    for record in read(kafka, topics.names.upstream):
        seen = decode_observation(record.value)
        if url := getattr(seen, "url", None):
            found.setdefault(seen.file_id, set()).add(url)
    return found


def test_kill_9_and_partition_moves_lose_no_result(kafka, topics, tmp_path):
    upstream = Upstream(tmp_path, kafka, topics, **FAULTS)
    chance = random.Random(5)
    projects = [str(uuid.uuid4()) for _ in range(20)]
    workers = [connector(tmp_path, kafka, topics, upstream) for _ in range(2)]
    watches = [upstream.job(chance.uniform(5, 25), chance.choice([*projects, None])) for _ in range(JOBS)]
    send(kafka, topics.names.watches, watches)
    for _ in range(3):
        eventually(lambda: any(each.metric("rendercast_upstream_watches") for each in workers))
        victim = workers.pop(0)
        victim.kill()
        workers.append(connector(tmp_path, kafka, topics, upstream))
        workers[-1].wait_ready()
        leaver = workers.pop(0)
        assert leaver.stop() == 0
        workers.append(connector(tmp_path, kafka, topics, upstream))
    made = eventually(lambda: len(found := upstream.urls()) == JOBS and found, 60)
    found = eventually(lambda: made.keys() <= (seen := told(kafka, topics)).keys() and seen, 90)
    assert all(url in found[each] for each, url in made.items())
    for each in workers:
        assert each.stop() == 0, each.log[-2000:]
    eventually(lambda: upstream.record()["streams"]["open"] == 0)
    assert upstream.process.stop() == 0


@needs_own_broker
def test_without_its_broker_memory_stays_flat_and_when_it_is_back_nothing_is_lost(tmp_path):
    broker = LocalBroker(tmp_path / "broker")
    broker.start()
    kafka, topics = KafkaSettings(bootstrap_servers=broker.bootstrap_servers), TopicSettings(partitions=2)
    asyncio.run(admin.apply(kafka, topics))
    upstream = Upstream(tmp_path, kafka, topics, frame_every_cut=1)  # each frame some hundred times
    worker = connector(tmp_path, kafka, topics, upstream, connector__buffer_bytes=1_000_000)
    try:
        watches = [upstream.job(20) for _ in range(100)]
        send(kafka, topics.names.watches, watches)
        eventually(lambda: worker.metric("rendercast_upstream_observations_total") > 100)
        broker.kill()
        full = "rendercast_upstream_send_buffer_bytes"
        eventually(lambda: worker.metric(full) >= 1_000_000, 60)
        before = worker.memory
        made = eventually(lambda: len(found := upstream.urls()) == 100 and found, 60)
        assert worker.metric(full) < 1_500_000 + 100 * 100_000, "what one read of each stream brought, and no more"
        assert worker.memory - before < 60_000
        assert "Kafka" in worker.get("/readyz")
        broker.start()
        found = eventually(lambda: made.keys() <= (seen := told(kafka, topics)).keys() and seen, 90)
        assert all(url in found[each] for each, url in made.items())
        assert worker.stop() == 0, worker.log[-2000:]
    finally:
        worker.kill()
        upstream.process.kill()
        broker.stop()


@needs_own_broker
def test_sigterm_without_a_broker_ends_within_its_time(tmp_path):
    broker = LocalBroker(tmp_path / "broker")
    broker.start()
    kafka, topics = KafkaSettings(bootstrap_servers=broker.bootstrap_servers), TopicSettings(partitions=2)
    asyncio.run(admin.apply(kafka, topics))
    upstream = Upstream(tmp_path, kafka, topics)
    worker = connector(tmp_path, kafka, topics, upstream)
    try:
        send(kafka, topics.names.watches, [upstream.job(60) for _ in range(20)])
        eventually(lambda: worker.metric("rendercast_upstream_observations_total") > 20)
        broker.kill()
        eventually(lambda: "Kafka" in worker.get("/readyz"), 60)
        worker.signal(signal.SIGTERM)
        eventually(lambda: worker.status is not None, 11, "its end within ten seconds")
        assert worker.status == 0
    finally:
        worker.kill()
        upstream.process.kill()
        broker.stop()
