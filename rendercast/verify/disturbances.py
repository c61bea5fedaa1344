"""What happens to the processors while they work, drawn from the seed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from rendercast.verify.faults import Fault
from rendercast.verify.plan import draws
from rendercast.verify.workers import Worker, Workers

RestartBroker = Callable[[float], Awaitable[None]]
"""Kills it, and starts it so many seconds later."""

SETTLE_SECONDS = 10
"""Beyond the session: a worker gets so long to be ready before it is disturbed."""

HASTE = 0.3
"""How often one is killed before it is ready."""

EVEN = 0.5
"""Whether a worker joins or leaves."""

MOST_MORE = 2
"""Workers beyond those asked for."""


class Disturbances:
    """One after the other; every fault comes up once before any comes up again."""

    def __init__(
        self, workers: Workers, faults: Sequence[Fault], session: float, restart_broker: RestartBroker | None, seed: int
    ) -> None:
        self.done: Counter[str] = Counter()
        self._workers, self._session, self._restart = workers, session, restart_broker
        self._most = len(workers.all) + MOST_MORE
        self._random = draws(seed, "disturbances")
        ways: dict[Fault, Callable[[], Awaitable[bool]]] = {
            "kill": self._kill, "freeze": self._freeze, "roll": self._roll, "scale": self._scale,
            "broker": self._restart_broker,
        }  # fmt: skip
        self._ways = {fault: ways[fault] for fault in faults if fault in ways}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, but each fault once; what has begun is brought to its end."""
        is_first = True
        while self._ways and (is_first or not stop.is_set()):
            for fault in self._random.sample([*self._ways], len(self._ways)):
                if is_first or not stop.is_set():
                    self.done[fault] += await self._ways[fault]()
                    await asyncio.sleep(self._random.uniform(0.1, 1.5))
            is_first = False

    async def _kill(self) -> bool:
        worker = self._any()
        if self._random.random() > HASTE:
            await self._is_ready(worker)
        self._workers.kill(worker)
        return True

    async def _freeze(self) -> bool:
        worker = self._any()
        await self._is_ready(worker)
        await self._workers.freeze(worker, self._session + self._random.uniform(1, 4))
        return True

    async def _roll(self) -> bool:
        worker = self._any()
        if not await self._is_ready(worker):
            return False
        await self._workers.roll(worker)
        return True

    async def _scale(self) -> bool:
        number = len(self._workers.all)
        if number == 1 or (number < self._most and self._random.random() < EVEN):
            self._workers.add()
            return True
        worker = self._any()
        if not await self._is_ready(worker):
            return False
        await self._workers.remove(worker)
        return True

    async def _restart_broker(self) -> bool:
        assert self._restart is not None
        await self._is_ready(self._any())
        self._workers.broker_goes()
        await self._restart(self._random.uniform(0.2, 3))
        self._workers.broker_is_back()
        await asyncio.sleep(self._random.uniform(2, 5))  # it would be away most of the time otherwise
        return True

    def _any(self) -> Worker:
        return self._random.choice(self._workers.all)

    async def _is_ready(self, worker: Worker) -> bool:
        return await self._workers.ready(worker, self._session + SETTLE_SECONDS)
