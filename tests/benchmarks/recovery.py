"""A worker that starts with many jobs: how quickly their documents are read, when it works, what memory they take."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import orjson
from benchmarks import engines
from benchmarks.engines import OURS
from benchmarks.medians import Failed
from benchmarks.peers.task import ASSIGNED as FAUST_ASSIGNED
from benchmarks.peers.task import RECOVERED
from benchmarks.peers.task import RECOVERY_PARTITIONS as PARTITIONS
from benchmarks.rule import TOPICS, Record
from benchmarks.site import LOADED, Site
from benchmarks.work import Sent, Work, make
from benchmarks.worker import Worker

from schemas.settings import TopicSettings
from streams.rows import Rows
from streams.step import Stepper

LOAD_SECONDS = 300
FAUST_SHARE = 0.1
"""Of the jobs, that stock Faust is given: it takes more than a minute for all of them."""

FAUST = f"stock Faust, {FAUST_SHARE:.0%} of the jobs"


class Recovery(NamedTuple):
    per_second: float
    first_event_seconds: float
    bytes_per_job: float
    peak_bytes_per_job: float

    def __str__(self) -> str:
        return (
            f"{self.per_second:,.0f} records/s, first event after {self.first_event_seconds:.1f} s, "
            f"{self.bytes_per_job:.0f} B a job (at its peak {self.peak_bytes_per_job:.0f} B)"
        )


@dataclass(slots=True)
class Changelogs:
    """Loaded once: documents of ended jobs, for us and for Faust; measuring adds one job for each start."""

    site: Site
    jobs: int
    full: TopicSettings
    empty: TopicSettings
    faust_changelog: str
    faust_source: str
    starts: Iterator[Work] = field(default_factory=lambda: (make(1, seed=1_000 + number) for number in range(10_000)))

    @classmethod
    def load(cls, site: Site, jobs: int) -> "Changelogs":
        found = cls(
            site, jobs, site.topics(PARTITIONS), site.topics(PARTITIONS), site.name("changelog"), site.name("in")
        )
        document = ended_document()
        site.cluster.load(found.full.names.jobs, documents(document, jobs))
        site.cluster.create(PARTITIONS, found.faust_source, compacted=[found.faust_changelog])
        site.cluster.load(found.faust_changelog, documents(document, found.faust_jobs))
        return found

    @property
    def faust_jobs(self) -> int:
        return int(FAUST_SHARE * self.jobs)

    def measure(self, name: str) -> Recovery:
        """One start. Raises Failed."""
        return self._ours() if name == OURS else self._faust()

    def _ours(self) -> Recovery:
        empty, full = self._start(self.empty), self._start(self.full)
        rows, seconds = full.rows, full.load_seconds
        if rows < self.jobs:
            raise Failed(f"{rows} rows of {self.jobs} jobs")
        return Recovery(
            rows / seconds, full.first_event_seconds,
            (full.rss - empty.rss) / rows, (full.peak - empty.peak) / rows,
        )  # fmt: skip

    def _start(self, topics: TopicSettings) -> "_Started":
        """A job that is tracked beforehand is the first event; its watch tells that it has been applied."""
        track = next(self.starts).tracks[0]
        cluster, names = self.site.cluster, topics.names
        cluster.load(names.commands, [track])
        with self.site.start_ours(topics) as worker:
            told = cluster.first_record(names.watches, track.key, LOAD_SECONDS, worker.must_run)
            loaded = orjson.loads(worker.wait_for(LOADED, 1).line)
            return _Started(loaded["rows"], loaded["seconds"], told - worker.started, worker.rss(), worker.rss("VmHWM"))

    def _faust(self) -> Recovery:
        task = self.site.task(self.faust_source, PARTITIONS)
        from_changelog = {**task.environment(), "BENCH_STATE": self.faust_changelog}
        with (
            self.site.cleaned(task.group),
            Worker(
                engines.of_project("benchmarks.peers.faust_recovery"), engines.environment(**from_changelog),
                engines.log(FAUST), [FAUST_ASSIGNED, RECOVERED],
            ) as worker,
        ):  # fmt: skip
            assigned = worker.wait_for(FAUST_ASSIGNED, 60)
            before = worker.rss()
            recovered = worker.wait_for(RECOVERED, LOAD_SECONDS)
            return Recovery(
                self.faust_jobs / (recovered.at - assigned.at), recovered.at - worker.started,
                (worker.rss() - before) / self.faust_jobs, (worker.rss("VmHWM") - before) / self.faust_jobs,
            )  # fmt: skip


class _Started(NamedTuple):
    rows: int
    load_seconds: float
    first_event_seconds: float
    rss: int
    peak: int


def ended_document() -> Sent:
    """The document of a job that has gone all its way through our rules."""
    work, rows, stepper = make(1, seed=5), Rows(), Stepper(TOPICS)
    for topic, sent in ((TOPICS.commands, work.tracks), (TOPICS.upstream, work.observations)):
        records = [Record(topic, 0, 1_000_000 + at, 0, each.key, each.value) for at, each in enumerate(sent)]
        effects = stepper(rows, records)
        effects.write_to(rows)
    key = work.tracks[0].key
    document = next(each for each in effects.out if each.topic == TOPICS.jobs and each.key == key)
    assert document.value is not None
    return Sent(0, key, document.value, document.headers)


def documents(like: Sent, jobs: int) -> Iterator[Sent]:
    """As many documents, each under a file id of its own in place of `like`'s."""
    for number in range(jobs):
        key = str(UUID(int=number << 96, version=4)).encode()
        yield Sent(number % PARTITIONS, key, like.value.replace(like.key, key), like.headers)
