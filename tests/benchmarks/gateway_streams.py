"""Many readers of one gateway: the memory of each, and the CPU of telling all of them one change."""

import time
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.gateway_jobs import Files, job
from benchmarks.gateway_readers import Readers
from benchmarks.gateway_serving import NEVER, START_SECONDS, Serving
from benchmarks.medians import percentile
from benchmarks.site import Site

PING_SECONDS = 15
SETTLE_SECONDS = 3.0
QUIET_SECONDS = 5.0
SLOWEST_CONNECTS = 50
"""Readers a second below which a server is given up."""

DELIVERY_SECONDS = 30


class Idle(NamedTuple):
    """`bytes` are of one reader, when it has been pinged; `connect` is microseconds of CPU of one reader's coming,
    `cpu` percent of a core, for the pings of all.
    """

    bytes: float
    connected: float
    connect: float
    cpu: float

    def __str__(self) -> str:
        return (
            f"{self.bytes / 1024:.1f} KiB a reader (before the first ping {self.connected / 1024:.1f}), "
            f"{self.connect:.0f} µs a connect, pings {self.cpu:.1f} % of a core"
        )


class Told(NamedTuple):
    """`cpu` is microseconds of one delivery; milliseconds from the write of a change until the last reader has it."""

    cpu: float
    last: float

    def __str__(self) -> str:
        return f"{self.cpu:.1f} µs a delivery, the last reader has it after {self.last:.0f} ms"


@dataclass(frozen=True, slots=True)
class Idling:
    """`readers`, each of a file of its own."""

    site: Site
    readers: int
    gzip: bool = False

    def measure(self, name: str) -> Idle:
        """One server, once. Raises Failed."""
        serving = Serving.of(self.site, Files(self.readers, alone=self.readers))
        with self.site.cleaned(serving.topics.prefix), serving.start(name, PING_SECONDS) as server:
            server.until_ready()
            time.sleep(SETTLE_SECONDS)
            empty, began = server.rss(), server.now()
            with serving.readers(server, self.readers, gzip=self.gzip) as readers:
                until_following(readers, self.readers)
                came = server.now()
                time.sleep(SETTLE_SECONDS)
                connected = server.rss()
                time.sleep(PING_SECONDS)  # the jobs are told in the meantime: now all are as idle as they get
                before = server.now()
                time.sleep(PING_SECONDS)
                after, full = server.now(), server.rss()
        share = (after.cpu - before.cpu) / (after.at - before.at)
        return Idle(
            (full - empty) / self.readers,
            (connected - empty) / self.readers,
            1e6 * (came.cpu - began.cpu) / self.readers,
            100 * share,
        )


@dataclass(frozen=True, slots=True)
class FanOut:
    """`updates`, one after the other, of a project that all of `readers` follow. No pings."""

    site: Site
    readers: int
    updates: int

    def measure(self, name: str) -> Told:
        """One server, once. Raises Failed."""
        serving = Serving.of(self.site, Files(1, alone=0))
        with self.site.cleaned(serving.topics.prefix), serving.start(name, NEVER) as server:
            server.until_ready()
            with serving.readers(server, self.readers) as readers:
                until_following(readers, self.readers)
                self._tell(serving, readers, 0)
                time.sleep(SETTLE_SECONDS)
                before = server.now()
                time.sleep(QUIET_SECONDS)
                began = server.now()
                took = [self._tell(serving, readers, number) for number in range(1, self.updates + 1)]
                ended = server.now()
        share = (began.cpu - before.cpu) / (began.at - before.at)
        cpu = ended.cpu - began.cpu - share * (ended.at - began.at)
        return Told(1e6 * cpu / self.updates / self.readers, percentile(took, 0.5))

    def _tell(self, serving: Serving, readers: Readers, number: int) -> float:
        readers.forget()
        change = job(serving.files, 0, 2 + number, 0, f"at={time.time_ns()}")
        serving.site.cluster.load(serving.topics.names.jobs, [change])
        readers.until(lambda counts: counts.told == self.readers, DELIVERY_SECONDS)
        return max(readers.delays())


def until_following(readers: Readers, number: int) -> None:
    """Until so many have had their snapshot. Raises Failed."""
    readers.until(lambda counts: counts.snapshots == number, START_SECONDS + number / SLOWEST_CONNECTS)
