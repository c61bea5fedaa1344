"""Child processes: started, started again when they die, and all gone at the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from rendercast.broker.local import free_port
from schemas.environment import PREFIX

STOP_SECONDS = 10


@dataclass(slots=True)
class Child:
    """One process of ours. `monitoring` is the port where it answers `/readyz`."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    monitoring: int
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", "rendercast", *self.arguments],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is the supervisor's to handle
            )  # fmt: skip

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        assert self.process is not None
        return self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it; a process that has ended takes none."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-1500:]


@dataclass(slots=True)
class Supervisor:
    """A context: whatever happens in it, no child outlives it."""

    directory: Path
    settings: Mapping[str, str]
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, **settings: object) -> Child:
        """Start `rendercast ARGUMENTS` with the shared settings and some of its own (`connector__token=…`)."""
        port = free_port()
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(PREFIX)},
            **self.settings,
            f"{PREFIX}MONITORING__PORT": str(port),
            **{f"{PREFIX}{key.upper()}": str(value) for key, value in settings.items()},
        }
        child = Child(name, arguments, environment, self.directory / f"{name}.log", port)
        self.children[name] = child
        child.start()
        return child

    def revive(self) -> None:
        """Start again what has died; what a process supervisor does in production."""
        for child in self.children.values():
            if child.process is not None and child.process.poll() is not None:
                child.restarts += 1
                child.start()

    def stop(self) -> None:
        """End all children; a second Ctrl-C does not interrupt this."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        running = [child.process for child in self.children.values() if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.send_signal(signal.SIGCONT)  # one that is frozen takes no other signal
        give_up = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
