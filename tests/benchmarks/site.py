"""Where one run of a benchmark is: a broker, names of its own on it, a directory."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from benchmarks import engines
from benchmarks.cluster import Cluster
from benchmarks.peers.task import Task
from benchmarks.worker import Worker

from schemas.settings import TopicSettings

LOADED, ASSIGNED = "rows loaded", "partitions assigned"
"""The processor's log says these when it has read the changelog, and when it holds its partitions: events come next."""


@dataclass(frozen=True, slots=True)
class Site:
    """Names are of this run alone, so that all topics with `run` in their names can be deleted at its end."""

    cluster: Cluster
    directory: Path
    run: str = field(default_factory=lambda: f"bench-{uuid4().hex[:8]}")
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def name(self, what: str) -> str:
        return f"{self.run}-{what}-{next(self._numbers)}"

    def topics(self, partitions: int) -> TopicSettings:
        """The product's topics under a new prefix, made."""
        found = TopicSettings(prefix=f"{self.name('ours')}.", partitions=partitions)
        self.cluster.make(found)
        return found

    def task(self, source: str, partitions: int, *, low_latency: bool = False) -> Task:
        """A peer's work, its topics made. `source` is its input."""
        group = self.name("peer")
        task = Task(
            self.cluster.servers, group, source, f"{group}-out", f"{group}-state", self.directory / group, low_latency
        )
        task.directory.mkdir(parents=True)
        self.cluster.create(partitions, task.output, compacted=[task.state])
        return task

    def start_ours(self, topics: TopicSettings) -> Worker:
        """The processor as production starts it; its settings are the defaults and what the environment names."""
        settings = {
            "RENDERCAST_KAFKA__BOOTSTRAP_SERVERS": self.cluster.servers,
            "RENDERCAST_TOPICS__PREFIX": topics.prefix,
            "RENDERCAST_TOPICS__PARTITIONS": str(topics.partitions),
            "RENDERCAST_MONITORING__PORT": "0",
            "RENDERCAST_PROCESSOR__DATA_DIRECTORY": str(self.directory / topics.prefix),
        }
        return Worker(
            engines.command(engines.OURS),
            engines.environment(**settings),
            engines.log(engines.OURS),
            [LOADED, ASSIGNED],
        )

    def start_peer(self, name: str, task: Task, *marks: str) -> Worker:
        return Worker(engines.command(name), engines.environment(**task.environment()), engines.log(name), marks)

    @contextmanager
    def cleaned(self, containing: str) -> Iterator[None]:
        """Whatever happens inside, the topics with that in their names are gone afterwards."""
        try:
            yield
        finally:
            self.cluster.delete(containing)
