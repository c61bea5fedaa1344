"""The readers of the gateway's benchmarks as the runner holds them: `peers/gateway_readers.py`, in its own process."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

import orjson
from benchmarks import engines
from benchmarks.medians import Failed
from benchmarks.peers.gateway_readers import LISTENING, Counts, Plan
from benchmarks.worker import Worker

START_SECONDS = 30
ANSWER_SECONDS = 30
POLL_SECONDS = 0.05


@dataclass(slots=True)
class Readers:
    """Runs within `with`. `running` raises when the server they read from has ended."""

    plan: Plan
    directory: Path
    running: Callable[[], None]
    _process: Worker = field(init=False)
    _url: str = ""

    def __enter__(self) -> Self:
        path = self.directory / "readers.json"
        path.write_bytes(orjson.dumps(asdict(self.plan)))
        self._process = Worker(
            [*engines.of_project("benchmarks.peers.gateway_readers"), str(path)],
            engines.environment(), engines.log("gateway-readers"), [LISTENING],
        )  # fmt: skip
        try:
            self._url = self._process.wait_for(LISTENING, START_SECONDS).line.split()[-1]
        except Failed:
            self._process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()

    def counts(self) -> Counts:
        return Counts(**self._call("/__status"))

    def delays(self) -> list[float]:
        """Milliseconds from the time that a change carries to its bytes here; of what came since the last `forget`."""
        found: list[float] = self._call("/__delays")
        return found

    def forget(self) -> None:
        self._call("/__forget")

    def until(self, reached: Callable[[Counts], bool], seconds: float) -> Counts:
        """Raises Failed when the time is over, or what `running` raises."""
        give_up = time.monotonic() + seconds
        while not reached(counts := self.counts()):
            self.running()
            self._process.must_run()
            if time.monotonic() > give_up:
                raise Failed(f"after {seconds:.0f} s the readers have {counts}")
            time.sleep(POLL_SECONDS)
        return counts

    def _call(self, path: str) -> Any:
        with urlopen(self._url + path, timeout=ANSWER_SECONDS) as answer:
            return orjson.loads(answer.read())


def plan(
    port: int, secret: str, readers: Iterable[tuple[str, list[str]]], final: int = 0, *, gzip: bool = False
) -> Plan:
    return Plan(port, secret, list(readers), final, gzip)
