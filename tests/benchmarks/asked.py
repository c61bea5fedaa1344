"""What a job costs the upstream: the product, and today's clients, each with the same jobs on the same simulator."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args
from urllib.request import urlopen

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from benchmarks import engines
from benchmarks.jobs import DEADLINES, Planned, plan
from benchmarks.medians import Failed
from benchmarks.peers import tabs
from benchmarks.peers.listening import ASSIGNED
from benchmarks.site import Site
from benchmarks.streams import OURS, PARTITIONS, START_SECONDS, connector
from benchmarks.worker import Worker

from connectors.upstream.policy import Why
from connectors.upstream.settings import ConnectorSettings
from rendercast.broker.local import free_port
from rendercast.simulator.faults import ALL_FAULTS, Faults
from schemas import Track, utcnow
from schemas.codec import encode
from schemas.headers import headers
from schemas.settings import TopicSettings

TODAY = "today's clients, two tabs a job"
SPEED = 30.0
"""Simulated seconds in a second: of the upstream, of the jobs, and of every time that either side is set to."""

STARTED = "simulator started"
PING_SECONDS, TIMEOUT_524_SECONDS, BROKEN_AFTER_SECONDS = 15.0, 100.0, 120.0
SPARE_SECONDS = 60
POLL_SECONDS = 0.5
_LOOKS = re.compile(r'^rendercast_upstream_looks_total\{.*why="(\w+)".*\} (\S+)$', re.MULTILINE)

HEALTHY, FAULTY = "healthy upstream", "upstream with its daily faults"
RATES: dict[str, Faults] = {HEALTHY: Faults(), FAULTY: ALL_FAULTS}


REASONS = ("streams", *(f"looks: {why}" for why in get_args(Why)))


class Asked(NamedTuple):
    """`streams` and `gets` are of one job; `seen` is the share of the URLs there were that somebody was told.

    `looks` are ours of one job, by their reason.
    """

    requests: float
    streams: float
    gets: float
    seen: float
    looks: dict[str, float]

    @property
    def by_reason(self) -> dict[str, float]:
        """By each of `REASONS`: where the requests of one job went."""
        return {"streams": self.streams, **{f"looks: {why}": self.looks.get(why, 0) for why in get_args(Why)}}

    def __str__(self) -> str:
        looks = "".join(f", {why} {count:.2f}" for why, count in sorted(self.looks.items()))
        return (
            f"{self.requests:.2f} requests a job ({self.streams:.2f} streams, {self.gets:.2f} GETs{looks}), "
            f"{self.seen:.1%} of the URLs seen"
        )


@dataclass(frozen=True, slots=True)
class Requests:
    """`jobs` jobs, begun over a quarter of a simulated hour, on an upstream with `rates` of faults."""

    site: Site
    jobs: int
    rates: Faults
    _monitoring: int = field(default_factory=free_port)

    def measure(self, name: str) -> Asked:
        """One side, once. Raises Failed."""
        topics = self.site.topics(PARTITIONS)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with self.site.cleaned(topics.prefix), self._simulator(port) as simulator, ExitStack() as stack:
            simulator.wait_for(STARTED, START_SECONDS)
            start = self._ours if name == OURS else self._today
            workers = [stack.enter_context(each) for each in start(topics, url)]
            for worker in workers:
                worker.wait_for(ASSIGNED, START_SECONDS)

            def running() -> None:
                for each in (simulator, *workers):
                    each.must_run()

            planned = plan(self.jobs)
            told = asyncio.run(self._feed_and_wait(planned, url, topics, running))
            record = orjson.loads(_get(url + "/__record"))
            looks = _looks(_get(f"http://127.0.0.1:{self._monitoring}/metrics").decode()) if name == OURS else Counter()
        return self._asked(record, told, looks)

    def _asked(self, record: dict[str, Any], told: dict[str, float], looks: Counter[str]) -> Asked:
        kinds = record["total"]["requests_by_kind"]
        requests = sum(kinds.values())
        streams = kinds.get("stream", 0)
        done = [file_id for file_id, file in record["files"].items() if file["ended"] == "completed"]
        return Asked(
            requests / self.jobs, streams / self.jobs, (requests - streams) / self.jobs,
            sum(told[file_id] for file_id in done) / len(done),
            {why: count / self.jobs for why, count in looks.items()},
        )  # fmt: skip

    def _simulator(self, port: int) -> Worker:
        settings: dict[str, object] = {
            "PORT": port,
            "SPEED": SPEED,
            "PING_SECONDS": PING_SECONDS / SPEED,
            "TIMEOUT_524_SECONDS": TIMEOUT_524_SECONDS,
            "BROKEN_AFTER_SECONDS": BROKEN_AFTER_SECONDS,
            "FAULTS": self.rates.model_dump_json(),
        }
        environment = engines.environment(
            RENDERCAST_MONITORING__PORT="0",
            **{f"RENDERCAST_SIMULATOR__{name}": str(value) for name, value in settings.items()},
        )
        command = [*engines.of_project("rendercast"), "simulator"]
        return Worker(command, environment, engines.log("simulator"), [STARTED])

    def _ours(self, topics: TopicSettings, url: str) -> Iterator[Worker]:
        """The connector, and the processor that tells it what to watch and until when."""
        settings = sped_up(SPEED)
        pace = float(settings["CONNECTS_PER_SECOND"])
        yield Worker(*connector(self.site, topics, url, pace, self._monitoring, **settings), [ASSIGNED])
        yield self.site.start_ours(topics)

    def _today(self, topics: TopicSettings, url: str) -> Iterator[Worker]:
        errand = tabs.Errand(self.site.cluster.servers, topics.names.commands, topics.names.completions, url, SPEED)
        environment = engines.environment(**errand.environment())
        yield Worker(engines.of_project("benchmarks.peers.tabs"), environment, engines.log(TODAY), [ASSIGNED])

    async def _feed_and_wait(
        self, planned: list[Planned], url: str, topics: TopicSettings, running: Callable[[], None]
    ) -> dict[str, float]:
        """By file: the share of those who asked that were told its URL. Ends when every job has."""
        servers, names = self.site.cluster.servers, topics.names
        async with AIOKafkaProducer(bootstrap_servers=servers) as producer, aiohttp.ClientSession() as http:
            began = time.monotonic()
            for number, job in enumerate(planned):
                await asyncio.sleep(max(0, began + job.at / SPEED - time.monotonic()))
                running()
                await _begin(http, url, job)
                track = Track(
                    file_id=job.file_id, kind=job.kind, request_id=f"{job.kind}_{number}", project_id=job.project_id,
                    deadline_seconds=job.deadline / SPEED, issued_at=utcnow(),
                )  # fmt: skip
                await producer.send_and_wait(
                    names.commands, encode(track), job.file_id.encode(), number % PARTITIONS, headers=headers(track)
                )
        give_up = time.monotonic() + max(DEADLINES.values()) / SPEED + SPARE_SECONDS
        while len(told := await _told(servers, names.completions)) < len(planned):
            running()
            if time.monotonic() > give_up:
                raise Failed(f"{len(told)} of {len(planned)} jobs have ended")
            await asyncio.sleep(POLL_SECONDS)
        return told


def _get(url: str) -> bytes:
    with urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


def _looks(metrics: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for why, count in _LOOKS.findall(metrics):
        found[why] += int(float(count))
    return found


async def _begin(http: aiohttp.ClientSession, url: str, job: Planned) -> None:
    wanted = {
        "kind": job.kind, "file_id": job.file_id, "project_id": job.project_id, "seconds": job.seconds,
        "behaviour": "never_ends" if job.never_ends else "plain",
    }  # fmt: skip
    async with http.post(f"{url}/__script", json=wanted) as answer:
        if answer.status != 200:
            raise Failed(f"the simulator answers {answer.status}: {await answer.text()}")


async def _told(servers: str, topic: str) -> dict[str, float]:
    found: dict[str, float] = {}
    async with AIOKafkaConsumer(
        bootstrap_servers=servers, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",
    ) as consumer:  # fmt: skip
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        while batches := await consumer.getmany(timeout_ms=500):
            for record in (each for records in batches.values() for each in records):
                said = orjson.loads(record.value)
                share = said["seen"] / said["of"] if "seen" in said else float(said["outcome"] == "completed")
                found[record.key.decode()] = share
    return found


def sped_up(speed: float) -> dict[str, str]:
    """Every time of the connector's defaults divided by `speed`, and every rate multiplied: names and values."""
    found = {}
    for name, setting in ConnectorSettings.model_fields.items():
        value = setting.default
        if name.endswith("_per_second"):
            found[name.upper()] = str(value * speed)
        elif name.endswith("_seconds"):
            faster = [each / speed for each in value] if isinstance(value, tuple) else value / speed
            found[name.upper()] = orjson.dumps(faster).decode()
    return found
