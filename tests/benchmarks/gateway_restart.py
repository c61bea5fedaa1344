"""A gateway that is killed under load, and its readers that come back with `Last-Event-ID`."""

import time
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.gateway_jobs import FED, WARM, Files
from benchmarks.gateway_latency import START_SECONDS, feeder
from benchmarks.gateway_serving import OURS, Serving
from benchmarks.gateway_streams import PING_SECONDS, until_following
from benchmarks.medians import Failed
from benchmarks.peers.gateway_readers import Counts
from benchmarks.site import Site

VERSIONS_BEFORE, FINAL = 2, 4
"""The kill comes in the midst of these: some changes are on their way to their readers, others not read yet."""
RATE = 1_500
TOGETHER = 10
LIMIT_SECONDS = 90
LISTEN_SECONDS = 5.0
"""What comes twice may come late."""


class Comeback(NamedTuple):
    """Seconds from the kill; the new process is started at once. The counts are of all readers, since the kill."""

    ready: float
    fed: float
    whole: float
    missing: int
    counts: Counts

    def __str__(self) -> str:
        counts = self.counts
        return (
            f"all whole {self.whole:.1f} s after the kill (jobs read after {self.ready:.1f} s, the last change written "
            f"after {self.fed:.1f} s); {self.missing} readers not whole, {counts.twice} twice, {counts.gaps} gaps, "
            f"{counts.skipped} skipped, {counts.told} told, {counts.refused} attempts refused, {counts.others}"
        )


@dataclass(frozen=True, slots=True)
class Kill:
    """Half of the `readers` follow a file, the others, ten by ten, a project of ten files."""

    site: Site
    readers: int

    def measure(self, _: str) -> Comeback:
        """One kill. Raises Failed."""
        alone = self.readers // 2 // TOGETHER * TOGETHER
        serving = Serving.of(self.site, Files(self.readers, alone=alone, together=TOGETHER))
        with self.site.cleaned(serving.topics.prefix), serving.start(OURS, PING_SECONDS) as server:
            server.until_ready()
            with serving.readers(server, self.readers, final=FINAL) as readers:
                until_following(readers, self.readers)
                with feeder(serving, RATE, FINAL, VERSIONS_BEFORE - 1) as feeding:
                    feeding.wait_for(WARM, START_SECONDS + self.readers / RATE * FINAL)
                    time.sleep(self.readers / RATE / 2)  # half of the next version
                    readers.forget()
                    killed = time.monotonic()
                    server.kill()
                    with serving.start(OURS, PING_SECONDS) as successor:
                        readers.running = successor.must_run
                        ready = successor.until_ready()
                        fed = feeding.wait_for(FED, START_SECONDS + self.readers / RATE * FINAL).at
                        try:
                            readers.until(lambda counts: counts.whole == self.readers, LIMIT_SECONDS)
                        except Failed:
                            successor.must_run()
                        time.sleep(LISTEN_SECONDS)
                        counts = readers.counts()
        missing = self.readers - counts.whole
        whole = counts.whole_at - killed if not missing else float(LIMIT_SECONDS)
        return Comeback(ready - killed, fed - killed, whole, missing, counts)
