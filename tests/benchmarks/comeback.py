"""A connector that is killed: how long until every watch is live again, at the pace that is set."""

import time
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.site import Site
from benchmarks.streams import (
    ASSIGNED,
    PARTITIONS,
    SLOWEST_CONNECTS,
    START_SECONDS,
    connector,
    until_live,
    watches,
)
from benchmarks.upstream import Upstream
from benchmarks.worker import Worker

CONNECTS_PER_SECOND = 250


class Comeback(NamedTuple):
    """Seconds from the kill; the new process is started at once."""

    assigned: float
    first_stream: float
    live: float

    @property
    def connecting(self) -> float:
        return self.live - self.first_stream

    def __str__(self) -> str:
        return (
            f"all live {self.live:.1f} s after the kill: partitions after {self.assigned:.1f} s, "
            f"first stream after {self.first_stream:.1f} s, then {self.connecting:.1f} s"
        )


class Mortal(Worker):
    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Kill:
    """`streams` watches, and `CONNECTS_PER_SECOND`. The name in the group stays, as a supervisor would have it."""

    site: Site
    streams: int

    @property
    def pace_seconds(self) -> float:
        return self.streams / CONNECTS_PER_SECOND

    def measure(self, _: str) -> Comeback:
        """One kill. Raises Failed."""
        topics = self.site.topics(PARTITIONS)
        with self.site.cleaned(topics.prefix), Upstream() as upstream:
            command = connector(self.site, topics, upstream.url, CONNECTS_PER_SECOND, GROUP_INSTANCE_ID="connector-0")
            self.site.cluster.load(topics.names.watches, watches(self.streams))
            with Mortal(*command) as worker:
                until_live(upstream, worker, self.streams, looks=True)
                killed = time.monotonic()
                worker.kill()
            upstream.forget()
            with Worker(*command, [ASSIGNED]) as worker:
                assigned = worker.wait_for(ASSIGNED, START_SECONDS).at
                upstream.until(lambda status: status.opened > 0, START_SECONDS, worker.must_run)
                first = time.monotonic()
                upstream.until(
                    lambda status: status.streams == self.streams <= min(status.opened, status.gets),
                    START_SECONDS + self.streams / SLOWEST_CONNECTS, worker.must_run,
                )  # fmt: skip
                return Comeback(assigned - killed, first - killed, time.monotonic() - killed)
