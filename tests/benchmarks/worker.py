"""A process under measurement, seen from outside: what it prints, its CPU time, its memory."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from benchmarks.medians import Failed

STOP_SECONDS = 15


class Mark(NamedTuple):
    """A line of the process's output, and what the clocks said when it came."""

    line: str
    at: float
    cpu: float


class Worker:
    """Runs until it is stopped. `marks` are words of its output that are waited for; the first line of each counts."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, marks: Sequence[str] = ()
    ) -> None:
        self._log, self._words = log, marks
        self._marks: dict[str, Mark] = {}
        self._last: deque[str] = deque(maxlen=12)
        self._changed = threading.Condition()
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._log.open("ab", buffering=0) as log:
            for raw in self._process.stdout:
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                with self._changed:
                    self._last.append(line)
                    for word in self._words:
                        if word in line and word not in self._marks:
                            self._marks[word] = self.now()._replace(line=line)
                    self._changed.notify_all()

    def wait_for(self, word: str, seconds: float) -> Mark:
        """Raises Failed when the process ends before it has printed `word`, or the time is over."""
        give_up = time.monotonic() + seconds
        with self._changed:
            while word not in self._marks:
                if not self._reader.is_alive():
                    raise Failed(f"ended with status {self._process.wait()}: {self.tail()}")
                if time.monotonic() > give_up:
                    raise Failed(f"no “{word}” within {seconds:.0f} s: {self.tail()}")
                self._changed.wait(0.2)
            return self._marks[word]

    def has_printed(self, word: str) -> bool:
        return word in self._marks

    def must_run(self) -> None:
        """Raises Failed when the process has ended."""
        if self._process.poll() is not None:
            raise Failed(f"ended with status {self._process.returncode}: {self.tail()}")

    def tail(self) -> str:
        return f"{' | '.join(self._last)[-600:]} (log: {self._log})"

    def now(self) -> Mark:
        return Mark("", time.monotonic(), self.cpu())

    def cpu(self) -> float:
        """Seconds of CPU time of all its threads, user and system: the kernel's clock of the process."""
        try:
            return time.clock_gettime((~self._process.pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a pid
        except OSError:
            return float("nan")  # it has ended

    def rss(self, field: str = "VmRSS") -> int:
        """Bytes of memory; `VmHWM` is the most it ever had."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            self.must_run()
            raise
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field))

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what does not end in time."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
