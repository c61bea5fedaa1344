"""The upstream of the streams' benchmarks, as the runner holds it: `peers/source.py` in a process of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self
from urllib.request import urlopen

import orjson
from benchmarks import engines
from benchmarks.medians import Failed
from benchmarks.peers.source import LISTENING
from benchmarks.worker import Worker

START_SECONDS = 15
ANSWER_SECONDS = 20
POLL_SECONDS = 0.1


class Status(NamedTuple):
    """`opened` and `gets` count from the last `forget`; `late` is the most, in seconds; `cpu` is of its process."""

    streams: int
    opened: int
    gets: int
    said: int
    late: float
    cpu: float


@dataclass(slots=True)
class Upstream:
    """Runs within `with`. One of its own for each measurement: a new port, and no connections of an earlier one."""

    url: str = ""
    _process: Worker = field(init=False)

    def __enter__(self) -> Self:
        self._process = Worker(
            engines.of_project("benchmarks.peers.source"), engines.environment(), engines.log("source"), [LISTENING]
        )
        try:
            self.url = self._process.wait_for(LISTENING, START_SECONDS).line.split()[-1]
        except Failed:
            self._process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()

    def status(self) -> Status:
        return self._call("/__status")

    def forget(self) -> None:
        self._call("/__forget")

    def say(self, rate: float, events: int) -> None:
        """Begin to send events, each on the next stream."""
        self._call(f"/__say?rate={rate}&events={events}")

    def until(self, reached: Callable[[Status], bool], seconds: float, running: Callable[[], None]) -> Status:
        """Raises Failed when the time is over, or what `running` raises."""
        give_up = time.monotonic() + seconds
        while not reached(status := self.status()):
            running()
            if time.monotonic() > give_up:
                raise Failed(f"after {seconds:.0f} s the upstream has {status}")
            time.sleep(POLL_SECONDS)
        return status

    def _call(self, path: str) -> Status:
        with urlopen(self.url + path, timeout=ANSWER_SECONDS) as answer:
            return Status(**orjson.loads(answer.read()))
