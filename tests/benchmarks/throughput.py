"""Events per CPU second of a worker that finds a backlog: from its first event to its last committed offset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.cluster import Cluster
from benchmarks.engines import BYTEWAX, OURS
from benchmarks.medians import Failed
from benchmarks.peers.task import DRAINED, FIRST
from benchmarks.site import ASSIGNED, Site
from benchmarks.work import Work
from benchmarks.worker import Mark, Worker

PARTITIONS = 4
START_SECONDS = 60
SLOWEST = 400
"""Events per second below which an engine is given up."""


class Throughput(NamedTuple):
    """`warm` leaves out the first half, `written` counts the records (and markers) on the engine's topics."""

    per_cpu_second: float
    warm: float
    per_second: float
    peak_bytes: int
    written: int

    def __str__(self) -> str:
        return (
            f"{self.per_cpu_second:,.0f} events per CPU second (second half {self.warm:,.0f}), "
            f"{self.per_second:,.0f} per second, {self.peak_bytes >> 20} MiB, {self.written:,} records written"
        )


@dataclass(frozen=True, slots=True)
class Backlog:
    """`inputs` are the peers' topics by name of the engine; each has the Tracks, then the observations, of its work."""

    site: Site
    work: Mapping[str, Work]
    inputs: Mapping[str, str]

    @classmethod
    def load(cls, site: Site, work: Mapping[str, Work]) -> "Backlog":
        """Engines with the same work share a topic: it is only read."""
        topics: dict[int, str] = {}
        for name, each in work.items():
            if name != OURS and id(each) not in topics:
                topic = topics[id(each)] = site.name("in")
                site.cluster.create(PARTITIONS, topic)
                site.cluster.load(topic, [*each.tracks, *each.observations])
        return cls(site, work, {name: topics[id(each)] for name, each in work.items() if name != OURS})

    def measure(self, name: str) -> Throughput:
        """One engine, once. Raises Failed, also where an outcome is missing or told twice."""
        return self._ours() if name == OURS else self._peer(name)

    def _ours(self) -> Throughput:
        site, work = self.site, self.work[OURS]
        topics = site.topics(PARTITIONS)
        names = topics.names
        with site.cleaned(topics.prefix):
            site.cluster.load(names.commands, work.tracks)
            site.cluster.load(names.upstream, work.observations)
            loaded = site.cluster.written(topics.prefix)
            with site.start_ours(topics) as worker:
                first = worker.wait_for(ASSIGNED, START_SECONDS)
                found = _drain(
                    site.cluster, worker, first, f"{topics.prefix}processor", [names.commands, names.upstream], work
                )
            _check(site.cluster, names.completions, work)
            return found._replace(written=site.cluster.written(topics.prefix) - loaded)

    def _peer(self, name: str) -> Throughput:
        site, work, source = self.site, self.work[name], self.inputs[name]
        task = site.task(source, PARTITIONS)
        with site.cleaned(task.group):
            with site.start_peer(name, task, FIRST, DRAINED) as worker:
                first = worker.wait_for(FIRST, START_SECONDS)
                found = _drain(site.cluster, worker, first, task.group, [source], work, has_group=name != BYTEWAX)
            _check(site.cluster, task.output, work)
            return found._replace(written=site.cluster.written(task.group))


def _drain(
    cluster: Cluster, worker: Worker, first: Mark, group: str, topics: list[str], work: Work, *, has_group: bool = True
) -> Throughput:
    looks: list[tuple[int, float]] = []

    def look(committed: int) -> None:
        worker.must_run()
        if committed >= work.events // 2 and not looks:
            looks.append((committed, worker.cpu()))

    cluster.until_committed(
        group, topics, START_SECONDS + work.events / SLOWEST, look, done=lambda: worker.has_printed(DRAINED)
    )
    last = worker.now() if has_group else worker.wait_for(DRAINED, 1)
    half, cpu_then = looks[0] if looks else (0, first.cpu)
    rest = (work.events - half) / (last.cpu - cpu_then) if half < work.events else float("nan")
    return Throughput(
        work.events / (last.cpu - first.cpu), rest, work.events / (last.at - first.at), worker.rss("VmHWM"), 0
    )


def _check(cluster: Cluster, completions: str, work: Work) -> None:
    found = cluster.count(completions)
    lost = work.jobs - len(found.keys() & {each.key for each in work.tracks})
    twice = found.total() - len(found)
    if lost or twice:
        raise Failed(f"of {work.jobs} outcomes {lost} missing, {twice} told twice")
