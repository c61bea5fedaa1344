"""From a record on the topic of jobs to its bytes in a reader's socket, at a steady rate."""

from dataclasses import dataclass
from typing import NamedTuple

import orjson
from benchmarks import engines
from benchmarks.gateway_jobs import FED, WARM, Files
from benchmarks.gateway_serving import Serving
from benchmarks.gateway_streams import PING_SECONDS, until_following
from benchmarks.medians import percentile
from benchmarks.site import Site
from benchmarks.worker import Worker

WARM_SECONDS = 5
START_SECONDS = 30
ARRIVAL_SECONDS = 15


class Latency(NamedTuple):
    """Milliseconds, and percent of a core; `late` is the feeder's own p99."""

    p50: float
    p99: float
    cpu: float
    late: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, {self.cpu:.0f} % of a core "
            f"(the feeder was up to {self.late:.1f} ms late in 99 % of its sends)"
        )


@dataclass(frozen=True, slots=True)
class Steady:
    """`readers`, each of a file of its own; each file changes `rate / readers` times a second, for about `seconds`."""

    site: Site
    readers: int
    rate: float
    seconds: float

    def measure(self, name: str) -> Latency:
        """One server, once. Raises Failed."""
        files = Files(self.readers, alone=self.readers)
        serving = Serving.of(self.site, files)
        warm, counted = (max(1, round(each * self.rate / self.readers)) for each in (WARM_SECONDS, self.seconds))
        final = 1 + warm + counted
        with self.site.cleaned(serving.topics.prefix), serving.start(name, PING_SECONDS) as server:
            server.until_ready()
            with serving.readers(server, self.readers, final=final) as readers:
                until_following(readers, self.readers)
                with feeder(serving, self.rate, final, warm) as feeding:
                    feeding.wait_for(WARM, START_SECONDS + WARM_SECONDS)
                    readers.forget()
                    began = server.now()
                    line = feeding.wait_for(FED, START_SECONDS + 3 * self.seconds).line
                    ended = server.now()
                readers.until(lambda counts: counts.whole == self.readers, ARRIVAL_SECONDS)
                delays = readers.delays()
        share = (ended.cpu - began.cpu) / (ended.at - began.at)
        return Latency(percentile(delays, 0.5), percentile(delays, 0.99), 100 * share, float(line.split()[-1]))


def feeder(serving: Serving, rate: float, final: int, warm: int = 0) -> Worker:
    """Writes versions 2 to `final` of every file."""
    asked = {
        "topic": serving.topics.names.jobs, "servers": serving.site.cluster.servers, "rate": rate, "first": 2,
        "final": final, "warm": warm,
        "files": {"count": serving.files.count, "alone": serving.files.alone, "together": serving.files.together},
    }  # fmt: skip
    return Worker(
        [*engines.of_peers("benchmarks.peers.gateway_feeder"), orjson.dumps(asked).decode()],
        engines.environment(), engines.log("gateway-feeder"), [WARM, FED],
    )  # fmt: skip
