"""Faust's Kafka transport, delivering whole batches along an unbroken chain of positions.

What is used of Faust and aiokafka here and is not public stands in README.md beside this file, with its reasons.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka.errors import IllegalStateError
from faust.transport.consumer import ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from yarl import URL

from streams.exactly_once import metrics
from streams.exactly_once.batch import Batch, RawRecord
from streams.exactly_once.exits import end_process, end_process_after
from streams.exactly_once.lane import Place
from streams.exactly_once.lanes import Lanes

log = structlog.get_logger()

IDLE_SECONDS = 0.02
"""Between two looks of a consumer that has no partition to fetch from, or of one that waits for an end."""

LEADER_SECONDS = 5.0
"""So long a partition may end before a place that was known already, before it counts as one made anew."""


class Span(NamedTuple):
    """A partition's positions around a fetch."""

    start: int | None
    end: int


class Fetched(NamedTuple):
    """What one fetch brought. `ends` is how far each partition is known to reach."""

    records: dict[TP, list[RawRecord]]
    spans: dict[TP, Span]
    ends: dict[TP, int]


NOTHING = Fetched({}, {}, {})


class BatchThread(driver.AIOKafkaConsumerThread):
    """aiokafka's side: it lives in a thread with a loop of its own."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        settings = transport.lanes.settings
        consumer._isolation_level = "read_committed"
        consumer._fetch_min_bytes = settings.fetch_min_bytes
        consumer._fetch_max_wait_ms = settings.fetch_max_wait_ms
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: Iterable[TP] | None,
        timeout: float | None = None, max_records: int | None = None,  # noqa: ASYNC109 - Faust's signature
    ) -> Fetched:  # fmt: skip
        """Records, and the positions of every active partition, whether it moved in this fetch or in one that was lost.

        A fetch that waits while a rebalance passes returns, into the void, what was fetched after it.
        """
        active = frozenset(active_partitions or ())  # Faust's set is live, and aiokafka takes an empty one for "all"
        if not active:
            with consumer._subscription.fetch_context():
                await asyncio.sleep(IDLE_SECONDS)
            return NOTHING
        states = _states(consumer)
        before = {tp: states[tp]._position for tp in active if tp in states}
        records = await super()._fetch_records(consumer, active, timeout=timeout, max_records=max_records)
        states = {tp: state for tp, state in _states(consumer).items() if tp in active}
        return Fetched(
            records,
            {tp: Span(before.get(tp), state._position) for tp, state in states.items() if state.has_valid_position},
            {
                TP(*tp): state.lso
                for tp, state in states.items()
                if state.lso is not None and tp.topic in self.transport.lanes.sources
            },
        )

    async def first_offset(self, tp: TP) -> int:
        """Of the records that are still there."""
        found: int = await self.call_thread(self._first_offset, tp)
        return found

    async def _first_offset(self, tp: TP) -> int:
        begin = await self._ensure_consumer().beginning_offsets([tp])
        return int(begin[tp])

    async def seek_sources(self, sources: frozenset[str], reached: Mapping[TP, int]) -> dict[TP, Place]:
        """Go to the committed offsets of the source topics; where each was sought to, and where it ends.

        Each has `reached` that far. A leader that has just been elected may know an older end for a moment.
        """
        found: dict[TP, Place] = await self.call_thread(self._seek_sources, sources, reached)
        return found

    async def _seek_sources(self, sources: frozenset[str], reached: Mapping[TP, int]) -> dict[TP, Place]:
        consumer = self._ensure_consumer()
        mine = consumer.assignment()
        consumer.pause(*[tp for tp in mine if tp.topic not in sources])  # changelogs are loaded in bulk, not prefetched
        tps = [tp for tp in mine if tp.topic in sources]
        if not tps:
            return {}
        # Commits first, ends afterwards: another owner may have committed on until a moment ago.
        committed = {tp: await consumer.committed(tp) for tp in tps}
        begin, end = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        give_up = time.monotonic() + LEADER_SECONDS
        while any(end[tp] < max(committed[tp] or 0, reached.get(tp, 0)) for tp in tps) and time.monotonic() < give_up:
            await asyncio.sleep(IDLE_SECONDS)
            end = await consumer.end_offsets(tps)
        places: dict[TP, Place] = {}
        for tp in tps:
            if (committed[tp] or 0) > end[tp]:
                end_process(
                    "a source topic was deleted and made anew: its committed offset is behind its end; "
                    "the positions in the job documents are of the old topic and would hide new events",
                    "operator", tp=str(tp), committed=committed[tp], end=end[tp],
                )  # fmt: skip
            if committed[tp] is not None:
                tell_of_hole(tp, committed[tp], begin[tp])
            places[tp] = Place(max(committed[tp] or 0, begin[tp]), end[tp], committed[tp] is not None)
            consumer.seek(tp, places[tp].position)
        return places

    def verify_event_path(self, now: float, tp: TP) -> None:
        if tp.topic in self.transport.lanes.sources:  # changelogs are paused, not stuck
            super().verify_event_path(now, tp)

    async def crash(self, reason: BaseException) -> None:
        end_process_after(reason, "the consumer's thread crashed")


class BatchConsumer(driver.Consumer):
    """Hands the agents one event per fetch. `_epoch` counts rebalances; what was fetched in an older one is void."""

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        self._lanes: Lanes = transport.lanes
        self._lanes.flow = self
        self._epoch = 0
        self._next: dict[TP, int] = {}  # where the next fetch has to begin
        self._sought: dict[TP, Place] = {}
        super().__init__(transport, *args, **kwargs)

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - Faust's
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        epoch = self._epoch
        fetched: Fetched = await self._getmany(self._get_active_partitions(), timeout) or NOTHING
        for tp, (start, end) in fetched.spans.items():
            if self.should_stop or not self.flow_active or epoch != self._epoch:
                return  # fetched before the rebalance
            expected, records = self._next.get(tp), fetched.records.get(tp, [])
            if expected is None or start == end == expected:
                continue  # not sought yet, or nothing new
            if _continues(expected, start, end, records):
                reached = end
                if not records or records[0].offset > expected:  # markers of transactions, or something is gone
                    tell_of_hole(tp, expected, min(await self._thread.first_offset(tp), end))
            else:
                reached, records = await self._look_again(tp, expected, start), []
            if reached == expected or epoch != self._epoch:
                continue
            self._next[tp] = reached
            self._read_offset[tp] = None  # switches off Faust's check of the order of single records
            ends = {each: known for each, known in fetched.ends.items() if each.partition == tp.partition}
            yield tp, self._message(tp, Batch(epoch, expected, reached, records, ends))

    async def _look_again(self, tp: TP, expected: int, start: int | None) -> int:
        """Something was fetched and not delivered: go back to it. The position then; it is later where that is gone."""
        metrics.REFETCHES.inc()
        log.warning("positions do not follow each other", tp=str(tp), expected=expected, got=start)
        try:
            position: int = max(expected, await self._thread.first_offset(tp))
            await self._thread.seek_wait({tp: position})
        except IllegalStateError:
            log.info("partition was taken away meanwhile", tp=str(tp))
            return expected
        tell_of_hole(tp, expected, position)
        return position

    def _message(self, tp: TP, batch: Batch) -> ConsumerMessage:
        timestamp = batch.records[-1].timestamp / 1000 if batch.records else None
        return ConsumerMessage(
            tp.topic, tp.partition, batch.end - 1, timestamp, 0,
            (), None, batch, None, 0, 0, TP(*tp), generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await super()._drain_messages(fetcher)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the process ends on anything
            end_process_after(error, "the fetcher crashed")

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets are of batches: there are no gaps between records to keep account of."""

    def _new_offset(self, tp: TP) -> int | None:
        acked, self._acked[tp] = self._acked[tp], []
        self._acked_index[tp].clear()
        return max(acked) + 1 if acked else None

    async def perform_seek(self) -> None:
        epoch = self._epoch
        places = await self._thread.seek_sources(self._lanes.sources, self._lanes.reached())
        if epoch == self._epoch:
            await self._lanes.check_sources(places)
        if epoch == self._epoch:
            self._sought = places
            self._committed_offset.update({TP(*tp): place.position or None for tp, place in places.items()})

    def open_sources(self) -> None:
        """The rows are there and the sources sought: start the lanes and let batches through."""
        places, self._sought = self._sought, {}
        self._next = {tp: place.position for tp, place in places.items()}
        self._lanes.open(places, self._epoch)
        self.resume_partitions(ensure_TPset(places))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._epoch += 1
        self._next, self._sought = {}, {}
        await self._lanes.close()
        await self.maybe_wait_for_commit_to_finish()  # it may have begun before the last ack
        await self.commit()  # before Faust forgets the acks
        self._buffered_partitions.clear()
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        self._lanes.stopped = True
        await self._lanes.close()
        await super().on_stop()  # commits what was acked
        await self._lanes.release(set(self._lanes.held))

    async def crash(self, reason: BaseException) -> None:
        end_process_after(reason, "the consumer crashed")


def _states(consumer: Any) -> Mapping[TP, Any]:
    subscription = consumer._subscription.subscription
    return subscription.assignment._tp_state if subscription and subscription.assignment else {}


def tell_of_hole(tp: TP, expected: int, first: int) -> None:
    """Retention was quicker than this worker: nothing can bring back what lay before `first`."""
    if first > expected:
        metrics.HOLES.inc(first - expected)
        log.error("records were deleted by retention before they were read", tp=str(tp), first=expected, next=first)


def _continues(expected: int, start: int | None, end: int, records: list[RawRecord]) -> bool:
    if start != expected:
        return False
    return not records or (start <= records[0].offset and records[-1].offset < end)


class BatchTransport(driver.Transport):
    """Knows the lanes, so that nothing has to be global."""

    Consumer = BatchConsumer

    def __init__(self, servers: Iterable[str], app: Any, lanes: Lanes) -> None:
        super().__init__([URL(f"kafka://{server}") for server in servers], app)
        self.lanes = lanes
