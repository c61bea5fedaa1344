"""The chat sink: batches of `artifacts` and `stored`, each in one transaction with its offsets.

The database's offsets are the truth; the group's are told to Kafka for those who look there. Whatever goes wrong with
a batch — the database away, a commit without an answer, another process ahead — the answer is the same: forget it,
read the offsets from the database again, and seek there.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import stamina
import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
)

from connectors.chats.landing import NAME, Landing
from connectors.chats.metrics import FENCED, LAG, LAG_SECONDS, RETRIES
from connectors.chats.plan import plan_of
from connectors.chats.rows import Partition, Tools
from connectors.chats.settings import ChatsSettings
from connectors.chats.store import Store
from connectors.chats.writer import Fenced
from connectors.kafka import age, behind, close, connect, consumer, producer, translated
from schemas.dead_letters import Incoming
from schemas.errors import RetryLater, StopProcess
from schemas.settings import KafkaSettings
from schemas.topics import Topics
from tracing import OFF, Tracing

log = structlog.get_logger()

_WAITING = "waiting for partitions"
_POLL_MS = 500
_KAFKA_SECONDS = 5
_LEAVE_SECONDS = 5
"""How long a rebalance waits for the batch in hand. One that takes longer is rolled back or fenced, not lost."""


class ChatSink:
    """Service. Needs the topics and the schema (`database.upgrade`) to be there."""

    def __init__(self, settings: ChatsSettings, kafka: KafkaSettings, topics: Topics, tracing: Tracing = OFF) -> None:
        self._settings = settings
        self._kafka = kafka
        self._topics = topics
        self._tracing = tracing
        self._group = topics.prefix + settings.group_id
        url, timeout = settings.url.get_secret_value(), settings.transaction_timeout_seconds
        plan = plan_of(settings)
        self._stores = [Store(url, "the chat database", self._group, tools=False, timeout=timeout, plan=plan)]
        if settings.local_url is not None:
            local = settings.local_url.get_secret_value()
            self._stores.append(Store(local, "the local store", self._group, tools=True, timeout=timeout))
        self._tools = Tools(settings.tool_chats, kept=len(self._stores) > 1)
        self._consumer: Any = None
        self._landing: Landing
        self._owned = False  # the group has given us partitions, and nothing has cast doubt on that
        self._placed: frozenset[Partition] | None = None  # the partitions that stand where the databases say
        self._in_hand = asyncio.Lock()
        self._waits_since: int | None = None  # the time of the first record that is not in the databases
        self._trouble: str | None = "starting"
        LAG_SECONDS.set_function(age(lambda: self._waits_since))

    def not_ready(self) -> str | None:
        return self._trouble

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`; the batch in hand is finished. Raises StopProcess."""
        async with contextlib.AsyncExitStack() as stack:
            for store in self._stores:
                stack.push_async_callback(store.close)
            letters = await connect(producer(self._kafka, NAME), self._kafka)
            stack.push_async_callback(close, letters)
            self._landing = Landing(self._stores, letters, self._topics, self._tools, self._tracing)
            self._consumer = await connect(
                consumer(
                    self._kafka,
                    NAME,
                    self._group,
                    group_instance_id=self._settings.group_instance_id,
                    session_timeout_ms=int(self._settings.session_timeout_seconds * 1000),
                    partition_assignment_strategy=(RangePartitionAssignor,),  # one number of both topics: one process
                ),
                self._kafka,
            )
            stack.push_async_callback(close, self._consumer)
            work, stopping = asyncio.create_task(self._work(stop)), asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done() and self._trouble is None:
                    await asyncio.wait({work}, timeout=self._settings.stop_grace_seconds)
            finally:
                for task in (work, stopping):
                    task.cancel()
                ends = await asyncio.gather(work, stopping, return_exceptions=True)
            if isinstance(ends[0], Exception):
                raise ends[0]

    async def _work(self, stop: asyncio.Event) -> None:
        async for attempt in self._retries():
            with attempt, self._noted():
                for store in self._stores:
                    await store.require_schema()
        self._trouble = _WAITING
        self._consumer.subscribe([self._topics.artifacts, self._topics.stored], listener=_Listener(self))
        while not stop.is_set():
            async for attempt in self._retries():  # anew for each batch: a success ends the backing off
                with attempt, self._noted():
                    await self._step()

    def _retries(self) -> Any:
        longest = self._settings.retry_wait_max_seconds
        return stamina.retry_context(
            on=RetryLater, attempts=None, timeout=None, wait_initial=0.2, wait_max=longest, wait_jitter=0.5
        )

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Trouble is told, and whatever was being done starts again from the database's offsets."""
        try:
            yield
        except RetryLater as error:
            RETRIES.inc()
            if self._trouble != str(error):
                log.warning("cannot go on for now", reason=str(error), **error.facts)
            self._trouble = str(error)
            self._placed = None
            raise

    async def _step(self) -> None:
        """One batch, if there is one."""
        try:
            await self._place()
            sources = await self._fetch()
            if sources:
                self._waits_since = min(map(_written, sources))
                async with self._in_hand:
                    await self._landing.land(sources)
                await self._tell_group()
            await self._measure_lag(sources)
        except Fenced as error:
            await self._doubt(error)

    async def _place(self) -> None:
        """Seek to where the databases have read up to; until then the partitions are paused. Raises RetryLater."""
        assigned: frozenset[Partition] = self._consumer.assignment()
        if not self._owned or assigned == self._placed:
            return
        if not assigned:  # a spare process, or the topics are gone
            self._placed, self._trouble = assigned, _WAITING
            return
        self._consumer.pause(*assigned)
        with translated():
            await self._consumer.getmany(timeout_ms=0)  # brings nothing, but tells the group that this process lives
            ends = await self._consumer.end_offsets(assigned)
        numbers = {number for _, number in assigned}
        lanes = {(topic, number) for topic in (self._topics.artifacts, self._topics.stored) for number in numbers}
        for store in self._stores:
            await store.place(lanes)
            for partition in assigned:
                _require_same_log(store, partition, ends[partition])
        if self._owned and assigned == self._consumer.assignment():
            for topic, number in assigned:
                start = min(store.expected[topic, number] for store in self._stores)
                self._consumer.seek(TopicPartition(topic, number), start)
            self._consumer.resume(*assigned)
            self._placed = assigned
            log.info("reading on from the database's offsets", partitions=len(assigned))
        self._trouble = None

    async def _fetch(self) -> list[Incoming]:
        with translated():
            found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=self._settings.batch_records)
        placed = self._placed or frozenset()
        return [source for partition in sorted(found) if partition in placed for source in found[partition]]

    async def _doubt(self, error: Fenced) -> None:
        """Whose are the partitions? The group refuses the commit of a member that it has put out.

        Refused, this process lets go of them until the group gives it some again. Otherwise the writer was a process
        that froze and woke: what it wrote is there, whole, and this one reads on behind it.
        """
        FENCED.inc()
        log.warning("fenced: this batch was rolled back", **error.facts)
        self._placed = None
        if not await self._tell_group():
            self._owned = False
            self._trouble = _WAITING

    async def _tell_group(self) -> bool:
        """Tell the group how far the databases are, for whoever looks at its lag. False when it no longer knows us."""
        try:
            offsets = {
                TopicPartition(*each): min(store.expected[each] for store in self._stores)
                for each in self._consumer.assignment()
                if all(each in store.expected for store in self._stores)
            }
            async with asyncio.timeout(_KAFKA_SECONDS):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            return False
        except (KafkaError, TimeoutError) as error:
            log.debug("the group was not told", reason=str(error))
        return True

    async def _measure_lag(self, landed: Sequence[Incoming]) -> None:
        found = await behind(self._consumer, dict.fromkeys(self._placed or ()))
        for topic in (self._topics.artifacts, self._topics.stored):
            LAG.labels(topic.removeprefix(self._topics.prefix)).set(
                sum(count for partition, count in found.items() if partition.topic == topic)
            )
        if not any(found.values()):
            self._waits_since = None
        elif landed:
            self._waits_since = max(map(_written, landed))  # what comes next is younger

    async def leave(self) -> None:
        """The partitions go: the batch in hand ends first, if it ends soon."""
        self._owned, self._placed = False, None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS), self._in_hand:
                pass

    def take(self, assigned: Iterable[Any]) -> None:
        """Partitions came. They stay paused until they stand where the databases say."""
        self._consumer.pause(*assigned)
        self._owned, self._placed, self._waits_since = True, None, None


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, sink: ChatSink) -> None:
        self._sink = sink

    async def on_partitions_revoked(self, _: Any) -> None:
        await self._sink.leave()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._sink.take(assigned)


def _written(source: Any) -> int:
    """When the record was, in milliseconds."""
    return int(source.timestamp)


def _require_same_log(store: Store, partition: Partition, end: int) -> None:
    if store.expected[partition] > end:
        topic, number = partition
        raise StopProcess(
            f"{store.name} has read partition {number} of {topic} up to {store.expected[partition]}, but it ends at "
            f"{end}: the topic was made anew. `rendercast db rewind` lets it be read from its beginning",
            topic=topic, partition=number, end=end,
        )  # fmt: skip
