"""A broker that is away under the full load of events: what the connector holds meanwhile, and what is lost."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.cluster import Cluster
from benchmarks.medians import Failed
from benchmarks.observed import Observed
from benchmarks.site import Site
from benchmarks.streams import (
    ASSIGNED,
    CONNECTS_PER_SECOND,
    PARTITIONS,
    START_SECONDS,
    connector,
    until_live,
    watches,
)
from benchmarks.upstream import Upstream
from benchmarks.worker import Worker

from rendercast.broker.local import LocalBroker, can_run
from rendercast.broker.obtain import NONE_FOUND

BEFORE_SECONDS, AFTER_SECONDS = 3.0, 5.0
BACK_SECONDS = 120
SAMPLE_SECONDS = 0.1


class Away(NamedTuple):
    """Bytes of memory: before the broker went, and the most above that while it was away and after it was back."""

    before: int
    away: int
    after: int
    missing: int
    events: int
    reconnects: int
    gets: int
    back: float

    @property
    def growth(self) -> int:
        return max(self.away, self.after)

    def __str__(self) -> str:
        return (
            f"{self.before >> 20} MiB, at most {self.away / 2**20:.0f} MiB more while the broker was away and "
            f"{self.after / 2**20:.0f} MiB more after it; {self.missing} of {self.events:,} events missing, "
            f"{self.reconnects} streams opened anew, {self.gets:,} looks, all acknowledged {self.back:.1f} s after "
            f"the broker was back"
        )


@dataclass(frozen=True, slots=True)
class Outage:
    """`seconds` without a broker, on one of the measurement's own."""

    directory: Path
    streams: int
    rate: float
    seconds: float

    @property
    def events(self) -> int:
        return int(self.rate * (BEFORE_SECONDS + self.seconds + AFTER_SECONDS))

    def measure(self, _: str) -> Away:
        """One outage. Raises Failed."""
        if not can_run():
            raise Failed(NONE_FOUND)
        with LocalBroker(self.directory / f"away-{time.monotonic_ns()}") as broker:
            site = Site(Cluster(broker.bootstrap_servers), self.directory)
            return self._measure(site, broker)

    def _measure(self, site: Site, broker: LocalBroker) -> Away:
        topics = site.topics(PARTITIONS)
        observed = Observed(site.cluster, topics.names.upstream, PARTITIONS)
        site.cluster.load(topics.names.watches, watches(self.streams))
        with (
            Upstream() as upstream,
            Worker(*connector(site, topics, upstream.url, CONNECTS_PER_SECOND), [ASSIGNED]) as worker,
        ):
            until_live(upstream, worker, self.streams, looks=True)
            observed.until_quiet(1, START_SECONDS)
            upstream.forget()
            upstream.say(self.rate, self.events)
            time.sleep(BEFORE_SECONDS)
            before = worker.rss()
            broker.kill()
            away = _most(worker, self.seconds)
            broker.start()
            back = time.monotonic()
            missing, after = self._until_all(observed, worker)
            came = time.monotonic() - back
            status = upstream.status()
            return Away(
                before, away - before, after - before, missing, self.events, status.opened, status.gets, came
            )  # fmt: skip

    def _until_all(self, observed: Observed, worker: Worker) -> tuple[int, int]:
        """How many events have still not come when the time is over, and the most memory meanwhile."""
        give_up, most = time.monotonic() + BACK_SECONDS, worker.rss()
        while missing := self.events - len(observed.delays()):
            most = max(most, _most(worker, 1))
            if time.monotonic() > give_up:
                break
        return missing, most


def _most(worker: Worker, seconds: float) -> int:
    """The most memory the worker has in the next `seconds`."""
    end, most = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        worker.must_run()
        most = max(most, worker.rss())
        time.sleep(SAMPLE_SECONDS)
    return most
