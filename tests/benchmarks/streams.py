"""Many streams in one process: the memory of each, the CPU of an event, and how long an event takes."""

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from benchmarks import engines
from benchmarks.medians import Failed, percentile
from benchmarks.observed import Observed
from benchmarks.peers.listening import ASSIGNED, Errand
from benchmarks.site import Site
from benchmarks.upstream import Upstream
from benchmarks.work import Sent
from benchmarks.worker import Worker

from schemas import Watch, utcnow
from schemas.codec import encode
from schemas.headers import headers
from schemas.settings import TopicSettings

OURS = "rendercast"
HTTPX = "plain httpx with httpx-sse"
AIOHTTP = "aiohttp with a reader of its own"
_PEERS = {HTTPX: "benchmarks.peers.httpx_streams", AIOHTTP: "benchmarks.peers.aiohttp_streams"}

PARTITIONS = 4
START_SECONDS = 60
SETTLE_SECONDS = 3.0
QUIET_SECONDS = 2.0
CONNECTS_PER_SECOND = 1_000
SLOWEST_CONNECTS = 40
"""Streams a second below which a worker is given up."""

SPARE_FILES, SPARE_PORTS = 500, 1_000


class Listened(NamedTuple):
    """`bytes` are of one stream, `cpu` is microseconds of one event; delays are milliseconds, to the append."""

    bytes: float
    bytes_after: float
    cpu: float
    idle: float
    p50: float
    p99: float
    source: float

    def __str__(self) -> str:
        return (
            f"{self.bytes / 1024:.1f} KiB a stream (after the events {self.bytes_after / 1024:.1f}), "
            f"{self.cpu:.0f} µs an event, idle {self.idle:.1f} % of a core, p50 {self.p50:.1f} ms, "
            f"p99 {self.p99:.1f} ms (the source takes {self.source:.0f} µs an event)"
        )


@dataclass(frozen=True, slots=True)
class Streams:
    """`events` are sent at `rate`, each on the next of `streams` streams."""

    site: Site
    streams: int
    rate: float
    events: int

    def measure(self, name: str) -> Listened:
        """One worker, once. Raises Failed."""
        topics = self.site.topics(PARTITIONS)
        observed = Observed(self.site.cluster, topics.names.upstream, PARTITIONS)
        observed.stamp()
        with self.site.cleaned(topics.prefix), Upstream() as upstream, self._start(name, topics, upstream) as worker:
            worker.wait_for(ASSIGNED, START_SECONDS)
            time.sleep(SETTLE_SECONDS)
            empty = worker.rss()
            self.site.cluster.load(topics.names.watches, watches(self.streams))
            until_live(upstream, worker, self.streams, looks=name == OURS)
            observed.until_quiet(QUIET_SECONDS, START_SECONDS)
            time.sleep(SETTLE_SECONDS)
            full, before = worker.rss(), worker.now()
            time.sleep(self.events / self.rate)
            idle, there, source = worker.now(), observed.count(), upstream.status().cpu
            began = worker.now()
            upstream.say(self.rate, self.events)
            seconds = 2 * self.events / self.rate + 10
            observed.until(there + self.events, seconds, worker.must_run)
            ended, after = worker.now(), worker.rss()
            source = upstream.status().cpu - source
            delays = observed.delays()
        if len(delays) < self.events:
            raise Failed(f"{self.events - len(delays)} of {self.events} events did not come")
        share = (idle.cpu - before.cpu) / (idle.at - before.at)
        milliseconds = list(delays.values())
        return Listened(
            (full - empty) / self.streams,
            (after - empty) / self.streams,
            1e6 * (ended.cpu - began.cpu - share * (ended.at - began.at)) / self.events,
            100 * share,
            percentile(milliseconds, 0.5),
            percentile(milliseconds, 0.99),
            1e6 * source / self.events,
        )

    def _start(self, name: str, topics: TopicSettings, upstream: Upstream) -> Worker:
        if name == OURS:
            # No looks while it is measured: the peers make none.
            quiet = {"EVENTS_SECONDS": "3600", "JOB_SECONDS": "3600"}
            return Worker(*connector(self.site, topics, upstream.url, CONNECTS_PER_SECOND, **quiet), [ASSIGNED])
        errand = Errand(self.site.cluster.servers, topics.names.watches, topics.names.upstream, upstream.url)
        return Worker(
            engines.of_project(_PEERS[name]), engines.environment(**errand.environment()), engines.log(name),
            [ASSIGNED],
        )  # fmt: skip


def connector(
    site: Site, topics: TopicSettings, url: str, connects_per_second: float, monitoring_port: int = 0, **settings: str
) -> tuple[list[str], dict[str, str], Path]:
    """Command, environment and log of the connector as production starts it, at this pace and with these settings."""
    ours = {
        "BASE_URL": url,
        "TOKEN": "simulator-token",
        "CONNECTS_PER_SECOND": str(connects_per_second),
        "REQUESTS_PER_SECOND": str(4 * connects_per_second),
        **settings,
    }
    environment = engines.environment(
        RENDERCAST_KAFKA__BOOTSTRAP_SERVERS=site.cluster.servers,
        RENDERCAST_TOPICS__PREFIX=topics.prefix,
        RENDERCAST_TOPICS__PARTITIONS=str(topics.partitions),
        RENDERCAST_MONITORING__PORT=str(monitoring_port),
        **{f"RENDERCAST_CONNECTOR__{name}": value for name, value in ours.items()},
    )
    return [*engines.of_project("rendercast"), "connector"], environment, engines.log("connector")


def watches(number: int) -> Iterator[Sent]:
    """Videos without a project, so each has a stream of its own; their deadline is hours away."""
    now = utcnow()
    for each in range(number):
        file_id = str(UUID(int=each << 96, version=4))
        watch = Watch(
            file_id=file_id, generation=f"video_{each}", kind="video", tracked_at=now,
            deadline_at=now + timedelta(hours=3),
        )  # fmt: skip
        yield Sent(each % PARTITIONS, file_id.encode(), encode(watch), headers(watch))


def until_live(upstream: Upstream, worker: Worker, streams: int, *, looks: bool) -> None:
    """Until so many streams are open, and with `looks` each file has been looked at. Raises Failed."""
    upstream.until(
        lambda status: status.streams == streams and status.gets >= streams * looks,
        START_SECONDS + streams / SLOWEST_CONNECTS, worker.must_run,
    )  # fmt: skip


def streams_the_machine_holds() -> int:
    """Of one process, to one address. The limit of open files is raised to what this user may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return min(most - SPARE_FILES, last - first + 1 - SPARE_PORTS)
