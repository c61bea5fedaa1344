"""The processors under test: started again when they die, as a supervisor would, and every end written down."""

import asyncio
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from rendercast.supervisor import Child, Supervisor
from schemas.errors import StopProcess

LOOK_SECONDS = 0.1
READY_SECONDS = 60
STOP_SECONDS = 10
"""What a graceful stop may take."""

OUTAGE_SECONDS = 20
"""So long after the broker's return a worker may still give up on it."""

NEEDS_OPERATOR = 1
_PORT = re.compile(r'"monitoring_port": (\d+)')


@dataclass(slots=True)
class Worker:
    """One processor, over all its lives. Of a disturbed life no orderly end is asked; a held one is not restarted."""

    child: Child
    log_from: int = 0
    disturbed: bool = False
    held: bool = False

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def is_running(self) -> bool:
        return self.child.status is None

    def start(self) -> None:
        """Start it again."""
        self.log_from = self.child.log.stat().st_size
        self.disturbed = False
        self.child.start()

    async def is_ready(self) -> bool:
        """What `/readyz` answers; the port stands in the log."""
        with self.child.log.open(errors="replace") as log:
            log.seek(self.log_from)
            port = _PORT.search(log.read())
        if port is None:
            return False
        try:
            async with httpx.AsyncClient(timeout=2) as http:
                return (await http.get(f"http://127.0.0.1:{port[1]}/readyz")).is_success
        except httpx.TransportError:
            return False


class Workers:
    """All of them. `problems` are ends that no disturbance explains."""

    def __init__(self, supervisor: Supervisor, settings: Mapping[str, object]) -> None:
        self.all: list[Worker] = []
        self.exits: Counter[str] = Counter()
        self.restarts = 0
        self.problems: list[str] = []
        self._supervisor, self._settings = supervisor, settings
        self._made = 0
        self._broker_back_at = float("-inf")
        self._broker_is_away = False

    def add(self) -> Worker:
        """Start one more."""
        self._made += 1
        name = f"processor-{self._made}"
        settings = {**self._settings, "processor__data_directory": self._supervisor.directory / name}
        worker = Worker(self._supervisor.start(name, "processor", **settings))
        self.all.append(worker)
        return worker

    async def keep_alive(self) -> None:
        """Restart what dies, for ever."""
        while True:
            for worker in [each for each in self.all if not each.is_running and not each.held]:
                self._has_ended(worker)
                worker.held = self._broker_is_away  # a supervisor's backoff: it comes back with the broker
                if not worker.held:
                    self._again(worker)
            await asyncio.sleep(LOOK_SECONDS)

    async def until_ready(self) -> None:
        """Raises StopProcess with the end of a log where a worker does not get ready at first."""
        give_up = time.monotonic() + READY_SECONDS
        for worker in self.all:
            while not await worker.is_ready():
                if not worker.is_running or time.monotonic() > give_up:
                    raise StopProcess(f"{worker.name} does not get ready: {worker.child.tail()}")
                await asyncio.sleep(LOOK_SECONDS)

    async def ready(self, worker: Worker, seconds: float) -> bool:
        """Whether it got ready in time; lives may end meanwhile."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if worker.is_running and await worker.is_ready():
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    # ------------------------------------------------------ what can be done to one

    def kill(self, worker: Worker) -> None:
        """SIGKILL; it is started again."""
        worker.child.signal(signal.SIGKILL)

    async def freeze(self, worker: Worker, seconds: float) -> None:
        """SIGSTOP, SIGCONT."""
        worker.disturbed = True
        worker.child.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            worker.child.signal(signal.SIGCONT)

    async def roll(self, worker: Worker) -> None:
        """An orderly stop, and a new start."""
        worker.held = True
        await self._stop(worker)
        self._again(worker)

    async def remove(self, worker: Worker) -> None:
        """An orderly stop for good."""
        worker.held = True
        await self._stop(worker)
        self.all.remove(worker)

    async def stop_all(self) -> None:
        """An orderly end of all."""
        for worker in self.all:
            worker.held = True
        await asyncio.gather(*[self._stop(worker) for worker in self.all])
        self.all.clear()

    # ------------------------------------------------------------- the broker's absence

    def broker_goes(self) -> None:
        """From now on a worker may give up on the broker, and is not started before it is back."""
        self._broker_is_away = True
        for worker in self.all:
            worker.disturbed = True

    def broker_is_back(self) -> None:
        self._broker_is_away = False
        self._broker_back_at = time.monotonic()
        for worker in [each for each in self.all if each.held]:
            self._again(worker)

    def _again(self, worker: Worker) -> None:
        self.restarts += 1
        worker.start()
        worker.held = False

    def _has_ended(self, worker: Worker) -> None:
        status = worker.child.status
        self.exits[str(status)] += 1
        excused = self._broker_is_away or (
            worker.disturbed and time.monotonic() < self._broker_back_at + OUTAGE_SECONDS
        )
        if status in (0, NEEDS_OPERATOR) and not excused:
            self.problems.append(f"{worker.name} ended by itself with status {status}: {worker.child.tail()}")

    async def _stop(self, worker: Worker) -> None:
        worker.disturbed |= not await worker.is_ready()  # one that still starts may have no handler yet
        if not worker.is_running:
            self._has_ended(worker)
            return
        worker.child.signal(signal.SIGTERM)
        give_up = time.monotonic() + STOP_SECONDS
        while worker.is_running and time.monotonic() < give_up:  # noqa: ASYNC110 - the process is another
            await asyncio.sleep(LOOK_SECONDS)
        if worker.is_running:
            self.problems.append(f"{worker.name} did not stop within {STOP_SECONDS} s: {worker.child.tail()}")
            worker.child.kill()
        elif worker.child.status != 0 and not worker.disturbed:
            self.problems.append(f"{worker.name} stopped with status {worker.child.status}: {worker.child.tail()}")
        self.exits[str(worker.child.status)] += 1
