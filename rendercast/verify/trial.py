"""One trial of the processors: fed, disturbed, waited for, audited; and all of it read once more."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rendercast.broker.local import LocalBroker
from rendercast.groups import rewind
from rendercast.verify.agenda import Agenda
from rendercast.verify.audit import Evidence, audit, changed
from rendercast.verify.disturbances import Disturbances
from rendercast.verify.evidence import collect, fact_of, follow
from rendercast.verify.faults import Fault
from rendercast.verify.feeder import Feeder
from rendercast.verify.group import until_answered, wait_until_read
from rendercast.verify.plan import Fact, draws
from rendercast.verify.report import Report
from rendercast.verify.scenarios import make_plan
from rendercast.verify.workers import Workers
from schemas import utcnow
from schemas.settings import KafkaSettings, TopicSettings

TELL_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for; the session and patience in seconds."""

    jobs: int
    workers: int
    partitions: int
    seconds: float
    faults: Sequence[Fault]
    seed: int
    session: float
    patience: float


@dataclass(frozen=True, slots=True)
class Site:
    """Where it takes place. `broker` is there where it can be killed."""

    kafka: KafkaSettings
    topics: TopicSettings
    broker: LocalBroker | None

    @property
    def group(self) -> str:
        """The workers' consumer group, by its default name."""
        return f"{self.topics.prefix}processor"


class Trial:
    """`run` it once."""

    def __init__(self, order: Order, site: Site, workers: Workers, tell: Callable[[str], None]) -> None:
        self._order, self._site, self._workers, self._tell = order, site, workers, tell
        self._names = site.topics.names
        self._plan = make_plan(order.seed, order.jobs, order.seconds, utcnow())
        self._agenda = Agenda(self._plan)
        aborts = draws(order.seed, "aborts") if "aborts" in order.faults else None
        self._feeder = Feeder(site.kafka, self._names, self._agenda, aborts)
        self._outcomes: set[Fact] = set()
        due = sum(len(script.announced) for script in self._plan)
        self._report = Report(order.seed, order.jobs, due, site.topics.prefix)

    async def run(self) -> Report:
        """What was done and found. Raises StopProcess where it cannot be carried out."""
        order, report, workers = self._order, self._report, self._workers
        for _ in range(order.workers):
            workers.add()
        await workers.until_ready()
        self._tell(f"{order.workers} workers are ready; {order.jobs} jobs in {order.seconds:g} s, --seed {order.seed}")
        began = time.monotonic()
        restart = self._restart_broker if self._site.broker else None
        disturbances = Disturbances(workers, order.faults, order.session, restart, order.seed)
        async with _beside(workers.keep_alive(), self._listen(), self._say_how_far(disturbances, began)):
            await self._feed(disturbances, began)
            if report.stalled is None:
                report.stalled = await self._until_read()
            await workers.stop_all()
            found = await collect(self._site.kafka, self._names)
            report.add(audit(self._plan, found, self._feeder.said_again))
            if "reset" in order.faults and report.stalled is None:
                found = await self._read_again(found)
                disturbances.done["reset"] += 1
        report.announced = len(found.completions)
        report.events, report.done = dict(self._feeder.written), dict(disturbances.done)
        report.said_again, report.aborted = len(self._feeder.said_again), self._feeder.aborted
        report.restarts, report.exits = workers.restarts, dict(workers.exits)
        report.problems += workers.problems
        report.seconds = round(time.monotonic() - began, 1)
        return report

    async def _feed(self, disturbances: Disturbances, began: float) -> None:
        """Say the whole plan; disturb for as long as was asked."""
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(self._order.seconds, over.set)
        async with asyncio.TaskGroup() as both:
            feeding = both.create_task(self._feeder.run(lambda: time.monotonic() - began, self._order.patience))
            disturbing = both.create_task(disturbances.run(over))
            awaited = await feeding
            over.set()
            await disturbing
        if awaited:
            self._report.stalled = f"nothing was told for {self._order.patience:g} s; {'; '.join(awaited[:5])}"

    async def _restart_broker(self, away: float) -> None:
        """Returns when its group coordinator answers again, which takes some seconds more than the process needs."""
        assert self._site.broker is not None
        await asyncio.to_thread(self._site.broker.kill)
        await asyncio.sleep(away)
        await asyncio.to_thread(self._site.broker.start)
        await until_answered(self._site.kafka, self._site.group)

    async def _until_read(self) -> str | None:
        return await wait_until_read(self._site.kafka, self._site.group, self._feeder.ends, self._order.patience)

    async def _read_again(self, before: Evidence) -> Evidence:
        """An operator puts the group back to the beginning: nothing may come of it."""
        self._tell("the group's offsets go to the beginning")
        await rewind(self._site.kafka, self._site.group, self._feeder.ends)
        for _ in range(self._order.workers):
            self._workers.add()
        self._report.stalled = await self._until_read()
        await self._workers.stop_all()
        after = await collect(self._site.kafka, self._names)
        self._report.add(changed(before, after))
        return after

    async def _listen(self) -> None:
        async for record in follow(self._site.kafka, (self._names.watches, self._names.completions)):
            fact = fact_of(self._names, record)
            if fact is not None:
                self._agenda.heard(fact)
                if record.topic == self._names.completions:
                    self._outcomes.add(fact)

    async def _say_how_far(self, disturbances: Disturbances, began: float) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            done = ", ".join(f"{fault} {times}" for fault, times in disturbances.done.items())
            self._tell(
                f"{time.monotonic() - began:4.0f} s: {self._feeder.written.total()} events fed, "
                f"{len(self._outcomes)} of {self._report.outcomes} outcomes announced; {done}"
            )


@asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The block, with other work beside it that ends with it. What fails in either ends both."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
            yield
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failed:
        error: BaseException = failed
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
