"""From an observation that is sent to the outcome that can be read, at a steady rate; and what the worker uses."""

from dataclasses import dataclass
from typing import NamedTuple

import orjson
from benchmarks import engines
from benchmarks.engines import OURS
from benchmarks.medians import Failed, percentile
from benchmarks.peers.task import FIRST
from benchmarks.site import Site
from benchmarks.worker import Worker

PARTITIONS = 4
READY_SECONDS = 90
MEASURING, MEASURED, RESULT = "measuring", "measured", "result "


class Latency(NamedTuple):
    """Milliseconds, and percent of a core."""

    p50: float
    p99: float
    cpu: float
    outcomes: int
    late: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, {self.cpu:.0f} % of a core, {self.outcomes} outcomes "
            f"(the feeder was up to {self.late:.1f} ms late in 99 % of its sends)"
        )


@dataclass(frozen=True, slots=True)
class Stream:
    """`rate` observations a second for `seconds`, after `warm` seconds that do not count."""

    site: Site
    rate: float
    warm: float
    seconds: float

    def measure(self, name: str) -> Latency:
        """One engine, once. Raises Failed."""
        site = self.site
        if name == OURS:
            topics = site.topics(PARTITIONS)
            names = topics.names
            with site.cleaned(topics.prefix), site.start_ours(topics) as worker:
                return self._probe(worker, names.commands, names.upstream, names.completions)
        source = site.name("in")
        with site.cleaned(source):
            site.cluster.create(PARTITIONS, source)
            task = site.task(source, PARTITIONS, low_latency=True)
            with site.cleaned(task.group), site.start_peer(name, task, FIRST) as worker:
                return self._probe(worker, source, source, task.output)

    def _probe(self, worker: Worker, commands: str, upstream: str, completions: str) -> Latency:
        asked = {
            "servers": self.site.cluster.servers, "commands": commands, "upstream": upstream,
            "completions": completions, "partitions": PARTITIONS, "rate": self.rate, "warm": self.warm,
            "seconds": self.seconds, "ready_seconds": READY_SECONDS - 10,
        }  # fmt: skip
        with Worker(
            [*engines.of_peers("benchmarks.peers.probe"), orjson.dumps(asked).decode()],
            engines.environment(), engines.log("probe"), [MEASURING, MEASURED, RESULT],
        ) as probe:  # fmt: skip
            probe.wait_for(MEASURING, READY_SECONDS + self.warm)
            worker.must_run()
            began = worker.now()
            probe.wait_for(MEASURED, 2 * self.seconds + 10)
            ended = worker.now()
            line = probe.wait_for(RESULT, 30).line
        found = orjson.loads(line.partition(RESULT)[2])
        if found["missing"]:
            raise Failed(f"{found['missing']} outcomes did not come")
        return Latency(
            percentile(found["milliseconds"], 0.5), percentile(found["milliseconds"], 0.99),
            100 * (ended.cpu - began.cpu) / (ended.at - began.at), len(found["milliseconds"]), found["late"],
        )  # fmt: skip
