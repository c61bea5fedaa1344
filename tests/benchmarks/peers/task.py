"""What the runner tells a worker (in the environment), and what a worker tells the runner (lines of its output)."""

import gc
import os
import signal
from dataclasses import dataclass
from pathlib import Path

FIRST, DRAINED = "first event", "drained"
ASSIGNED, RECOVERED = "assigned", "recovered"

RECOVERY_PARTITIONS = 8

PREFIX = "BENCH_"


@dataclass(frozen=True, slots=True)
class Task:
    """One worker's work. With `low_latency` an engine is set for that; its commit interval is 20 ms then, not 1 s."""

    servers: str
    group: str
    input: str
    output: str
    state: str
    directory: Path
    low_latency: bool

    @classmethod
    def read(cls) -> "Task":
        def told(name: str) -> str:
            return os.environ[PREFIX + name]

        return cls(
            told("SERVERS"), told("GROUP"), told("INPUT"), told("OUTPUT"), told("STATE"), Path(told("DIRECTORY")),
            told("LOW_LATENCY") == "1",
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """What `read` reads."""
        values = {
            "SERVERS": self.servers, "GROUP": self.group, "INPUT": self.input, "OUTPUT": self.output,
            "STATE": self.state, "DIRECTORY": str(self.directory), "LOW_LATENCY": "1" if self.low_latency else "0",
        }  # fmt: skip
        return {PREFIX + name: value for name, value in values.items()}

    @property
    def commit_seconds(self) -> float:
        return 0.02 if self.low_latency else 1.0


class Tell:
    """Prints a line once."""

    def __init__(self, line: str) -> None:
        self._line = line
        self.told = False

    def __call__(self) -> None:
        if not self.told:
            self.told = True
            print(self._line, flush=True)


def collect_rarely() -> None:
    """Python's collector, set as the processor sets it: records have no cycles, and looking through all jobs for some
    costs a fifth of the time."""
    gc.set_threshold(200_000, 50, 1_000)


def wait_for_the_end() -> None:
    """Until the runner has read the clocks and sends SIGTERM."""
    signal.sigwait({signal.SIGTERM})
