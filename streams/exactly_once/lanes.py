"""All lanes of this process, and the partitions it holds from one rebalance to the next."""

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog
from faust.types import TP, EventT

from schemas.errors import StopProcess
from schemas.settings import KafkaSettings
from streams.exactly_once import changelog, metrics
from streams.exactly_once.exits import Ledger
from streams.exactly_once.held import HeldPartition
from streams.exactly_once.lane import Chore, Flow, Lane, Place, StepFunction
from streams.rows import Position, Rows, Span, check_documents
from streams.settings import EngineSettings

log = structlog.get_logger()


class Engine(NamedTuple):
    """What the lanes are to do, and between which topics. `chore` makes one for each lane.

    `sources` are the topics that are read, with the names by which documents and floors know them.
    """

    sources: Mapping[str, str]
    changelog: str
    positions: str
    step: StepFunction
    chore: Callable[[], Chore]
    ends: Ledger


class Lanes:
    """The engine's state. `assign` comes first in a rebalance, then `open`; `close` when partitions are revoked."""

    def __init__(self, app_id: str, kafka: KafkaSettings, engine: Engine, settings: EngineSettings) -> None:
        self.sources = frozenset(engine.sources)
        self.settings = settings
        self.held: dict[int, HeldPartition] = {}
        self.flow: Flow | None = None  # the consumer, once Faust has made it
        self.stopped = False
        self.loading = changelog.Progress()
        self._app_id, self._kafka, self._engine = app_id, kafka, engine
        self._lanes: dict[int, Lane] = {}
        self._generation = -1
        self._assigning = asyncio.Lock()
        self._recovering = True

    def put(self, event: EventT) -> None:
        """Give a batch to its lane; the agent's whole work."""
        lane = self._lanes.get(event.message.partition)
        if lane is None:
            metrics.VOID_BATCHES.inc()
        else:
            lane.put(event)

    def not_ready(self) -> str | None:
        """Why events are not being processed, or None. A worker without partitions is ready: it stands by."""
        if self.stopped:
            return "stopping"
        if not self._recovering:
            return None
        done = f": {self.loading.offsets} of {self.loading.of} offsets" if self.loading.of else ""
        return f"recovering the rows of its partitions{done}"

    def lag(self) -> dict[TP, int]:
        """By source partition: offsets that are known of and not applied yet."""
        return {tp: lag for lane in tuple(self._lanes.values()) for tp, lag in lane.lag().items()}

    def oldest(self) -> dict[TP, int]:
        """By source partition, when the first record that is not applied yet was written, in milliseconds."""
        return {tp: oldest for lane in tuple(self._lanes.values()) for tp, oldest in lane.oldest().items()}

    def unfinished(self) -> list[Span]:
        """Of every job held that has not ended."""
        return [span for held in tuple(self.held.values()) for span in tuple(held.rows.unfinished.values())]

    def rows(self) -> dict[int, int]:
        """How many documents each held partition has."""
        return {number: len(held.rows.documents) for number, held in tuple(self.held.items())}

    async def check_topics(self) -> None:
        """Raises StopProcess unless sources and changelog are there and cut alike.

        With different numbers of partitions a job and its events would be on different workers; Faust's assignor
        then waits in silence.
        """
        counts = await changelog.partition_counts(self._kafka, [*sorted(self.sources), self._engine.changelog])
        if len(set(counts.values())) > 1 or not all(counts.values()):
            found = ", ".join(f"{topic} {count}" for topic, count in counts.items())
            raise StopProcess(f"the topics must be there with equal numbers of partitions, and have: {found}")

    def open(self, places: Mapping[TP, Place], epoch: int) -> None:
        """Start a lane for each partition number. `places` is where each source partition was sought to."""
        if self.stopped:
            return
        assert self.flow is not None
        by_number: dict[int, dict[TP, Place]] = defaultdict(dict)
        for tp, place in places.items():
            by_number[tp.partition][TP(*tp)] = place
        for number, found in by_number.items():
            if len(found) < len(self.sources):
                raise RuntimeError(f"partition {number} is assigned of {sorted(tp.topic for tp in found)} only")
        self._lanes = {
            number: Lane(
                self.held[number],
                places_of_one,
                epoch,
                self.flow,
                self._engine.step,
                self._engine.chore(),
                self.settings,
            )
            for number, places_of_one in by_number.items()
        }
        self._recovering = False

    def reached(self) -> dict[TP, int]:
        """How far each source partition that is held is known to reach: to the record that was applied last."""
        return {
            TP(topic, number): position.offset + 1
            for number, held in self.held.items()
            for topic, source in self._engine.sources.items()
            if (position := held.rows.positions.get(source))
        }

    async def check_sources(self, places: Mapping[TP, Place]) -> None:
        """Raises StopProcess where a source topic is not the one that was applied, but was deleted and made anew.

        Its offsets begin again at 0, and what has been applied would hide its events. Kafka forgets a group's offsets
        with the topic, so a partition without one is looked at: the record that was applied last has to be there.
        """
        applied = {
            tp: position
            for tp in places
            if (position := self.held[tp.partition].rows.positions.get(self._engine.sources[tp.topic]))
        }
        made_anew = {tp for tp, position in applied.items() if position.offset >= places[tp].end}
        doubtful = {
            tp: position.offset
            for tp, position in applied.items()
            if tp not in made_anew and not places[tp].is_committed and places[tp].position <= position.offset
        }
        for tp, found in (await changelog.timestamps(self._kafka, doubtful)).items():
            if found != applied[tp].timestamp:
                made_anew.add(tp)
        if made_anew:
            raise StopProcess(
                "a source topic was deleted and made anew, and what was applied of the old one would hide its events: "
                f"delete {self._engine.changelog} and {self._engine.positions}, too",
                partitions=sorted(f"{tp.topic}-{tp.partition}" for tp in made_anew),
            )

    async def close(self) -> None:
        """Let every step in hand end; drop what waits."""
        self._recovering = True
        lanes, self._lanes = self._lanes, {}
        await asyncio.gather(*[lane.close() for lane in lanes.values()])

    async def assign(self, wanted: set[int], generation: int) -> None:
        """Hold exactly `wanted`: fence the old owners first, then read the rows.

        In this order, because a row that an old owner commits after we have read would be missed. A partition is
        kept from the last rebalance only if no generation was missed: somebody else may have had it in between.
        """
        self._recovering = True
        async with self._assigning:
            kept = wanted & set(self.held) if generation == self._generation + 1 else set()
            self._generation = generation
            await self.release(set(self.held) - kept)
            new = sorted(wanted - kept)
            fenced: dict[int, HeldPartition] = {}
            try:
                await asyncio.gather(*[self._fence(number, fenced) for number in new])
                async with asyncio.timeout(self.settings.load_timeout):
                    rows = await self._load(new)
            except BaseException:
                await asyncio.gather(*[held.release() for held in fenced.values()])
                raise
            for number, held in fenced.items():
                held.rows = rows[number]
                self.held[number] = held
            for held in self.held.values():
                held.rows.warm_limit = self.settings.warm_jobs // len(self.held)
            log.info("partitions assigned", partitions=sorted(wanted), kept=sorted(kept))

    async def _load(self, numbers: list[int]) -> dict[int, Rows]:
        started, self.loading = time.monotonic(), changelog.Progress()
        gc.disable()  # a million new rows are no garbage; to look at them costs half of the time
        try:
            rows = await self._read(numbers)
        finally:
            gc.enable()
        seconds = time.monotonic() - started
        metrics.RECOVERED_RECORDS.inc(self.loading.records)
        if self.loading.records:
            metrics.RECOVERY_SPEED.set(self.loading.records / seconds)
        log.info(
            "rows loaded",
            partitions=numbers, rows=sum(len(each.documents) for each in rows.values()), records=self.loading.records,
            seconds=round(seconds, 3),
        )  # fmt: skip
        return rows

    async def _read(self, numbers: list[int]) -> dict[int, Rows]:
        positions, documents = await asyncio.gather(
            changelog.load(self._kafka, self._engine.positions, numbers),
            changelog.load(self._kafka, self._engine.changelog, numbers, progress=self.loading),
        )
        for number in numbers:
            check_documents(self._engine.changelog, number, documents[number])
        return {
            number: Rows(
                documents[number],
                {source.decode(): Position.decode(value) for source, value in positions[number].items()},
            )
            for number in numbers
        }

    async def release(self, numbers: set[int]) -> None:
        """Let partitions go."""
        await asyncio.gather(*[self.held.pop(number).release() for number in numbers])

    async def _fence(self, number: int, fenced: dict[int, HeldPartition]) -> None:
        fenced[number] = await HeldPartition.fence(self._app_id, number, self._kafka, self.settings)
