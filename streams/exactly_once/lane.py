"""A lane: what waits on one partition number, of all source topics, is one step after the other.

Between steps it does a chore, a slice at a time: forgetting what has finished long ago.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from faust.types import TP, EventT

from streams.exactly_once import metrics
from streams.exactly_once.batch import RawRecord
from streams.exactly_once.exits import end_process, end_process_after
from streams.exactly_once.held import HeldPartition
from streams.exactly_once.source_queue import SourceQueue, merge
from streams.settings import EngineSettings

StepFunction = Callable[[HeldPartition, list[RawRecord]], Awaitable[None]]

Chore = Callable[[HeldPartition], Awaitable[float]]
"""One slice of work on a partition; in how many seconds it wants to be called again."""


class Place(NamedTuple):
    """Where a source partition is read from, and how far it reaches."""

    position: int
    end: int
    is_committed: bool = True


class Flow(Protocol):
    """The consumer's tap of a partition."""

    def on_buffer_full(self, tp: TP) -> None: ...

    def on_buffer_drop(self, tp: TP) -> None: ...


class Lane:
    """Takes batches in order and steps through them; while one step waits for the broker the next one collects."""

    def __init__(
        self, held: HeldPartition, places: Mapping[TP, Place], epoch: int,
        flow: Flow, step: StepFunction, chore: Chore, settings: EngineSettings,
    ) -> None:  # fmt: skip
        self._held, self._epoch = held, epoch
        self._flow, self._step, self._chore, self._settings = flow, step, chore, settings
        self._queues = {tp: SourceQueue(place.position, place.end) for tp, place in sorted(places.items())}
        self._more = asyncio.Event()
        self._closing = False
        self._blocked_at: float | None = None  # since when what waits has waited for another topic
        self._chore_at = 0.0
        self._task = asyncio.create_task(self._run(), name=f"lane {held.number}")

    def put(self, event: EventT) -> None:
        """Queue a batch. One that does not begin where the last one ended means a lost delivery: the process ends."""
        tp, batch = event.message.tp, event.value
        if batch.epoch != self._epoch:
            metrics.VOID_BATCHES.inc()  # fetched before a rebalance; whoever owns the partition now fetches it again
            return
        queue = self._queues[tp]
        if batch.start != queue.position:
            end_process(
                "a delivery was lost between consumer and lane", "lost_delivery",
                tp=str(tp), expected=queue.position, start=batch.start, end=batch.end,
            )  # fmt: skip
        queue.put(event)
        for each, end in batch.ends.items():
            self._queues[each].end = max(self._queues[each].end, end)
        self._more.set()
        if queue.waiting > self._settings.lane_records:
            self._flow.on_buffer_full(tp)

    async def close(self) -> None:
        """The step in hand ends and is acked; what waits is dropped: it will be delivered again."""
        self._closing = True
        self._more.set()
        _, unfinished = await asyncio.wait({self._task}, timeout=self._settings.step_timeout)
        if unfinished:
            end_process("a step does not end", "timeout", partition=self._held.number)

    async def _run(self) -> None:
        try:
            while not self._closing:
                self._more.clear()
                records, finished = merge(tuple(self._queues.values()), self._settings.step_records)
                if records:
                    self._blocked_at = None
                    async with asyncio.timeout(self._settings.step_timeout):
                        await self._step(self._held, records)
                for event in finished:
                    event.ack()
                    self._queues[event.message.tp].settle()
                if self._closing:
                    break
                self._open_taps()
                await self._tidy()
                if not records and not finished:
                    await self._wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the process ends on anything
            end_process_after(error, "a step failed", partition=self._held.number)

    async def _tidy(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._chore_at:
            async with asyncio.timeout(self._settings.step_timeout):
                pause = await self._chore(self._held)
            self._chore_at = loop.time() + pause

    async def _wait(self) -> None:
        """For the next batch or chore; if one waits for another topic, not for long, whatever else comes meanwhile."""
        now = asyncio.get_running_loop().time()
        if not any(queue.waiting for queue in self._queues.values()):
            self._blocked_at = None
        elif self._blocked_at is None:
            self._blocked_at = now
        give_up_at = None if self._blocked_at is None else self._blocked_at + self._settings.merge_timeout
        try:
            async with asyncio.timeout_at(min(self._chore_at, give_up_at or self._chore_at)):
                await self._more.wait()
        except TimeoutError:
            if give_up_at is not None and asyncio.get_running_loop().time() >= give_up_at:
                self._give_up()

    def _give_up(self) -> None:
        metrics.MERGE_TIMEOUTS.inc()
        self._blocked_at = None
        for queue in self._queues.values():
            queue.give_up()

    def lag(self) -> dict[TP, int]:
        """Offsets from what no step has committed yet to the end, as far as that is known, by source partition."""
        return {tp: queue.lag for tp, queue in self._queues.items()}

    def oldest(self) -> dict[TP, int]:
        """When the first record that no step has committed was written, where there is one, in milliseconds."""
        return {tp: oldest for tp, queue in self._queues.items() if (oldest := queue.oldest) is not None}

    def _open_taps(self) -> None:
        for tp, queue in self._queues.items():
            if queue.waiting <= self._settings.lane_records // 2:
                self._flow.on_buffer_drop(tp)
