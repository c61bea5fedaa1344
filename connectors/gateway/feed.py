"""The topic of jobs, read by this process alone and from its beginning, and told to the board."""

import asyncio
import contextlib
import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError, RequestTimedOutError

from connectors.gateway import metrics
from connectors.gateway.board import Board
from connectors.gateway.tasks import until_one_ends
from connectors.gateway.topic_id import topic_id
from connectors.kafka import close, connect, consumer
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings
from schemas.topics import Topics

log = structlog.get_logger()

BATCH_RECORDS = 500
LOOK_SECONDS = 2.0
ANSWER_SECONDS = 5.0
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0)
TOMBSTONES_SECONDS = 86_400
"""Kafka's own default (`delete.retention.ms`): older tombstones may be gone, and what they forgot with them."""

Offsets = dict[TopicPartition, int]


class JobsFeed:
    """No consumer group: every gateway reads all partitions. While Kafka is away it keeps trying, and says so."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, board: Board) -> None:
        self._kafka, self._board = kafka, board
        self._topic, self._needed = topics.jobs, {topics.jobs, topics.commands}
        self._trouble: str | None = "the jobs are not read yet"

    def not_ready(self) -> str | None:
        return self._trouble

    async def run(self) -> None:
        """Until cancelled. Raises StopProcess when the first attempt finds no broker or no topic."""
        failures = 0
        while True:
            try:
                await self._read()
            except StopProcess as error:
                if failures == 0:
                    raise
                reason = str(error)
            except KafkaError as error:
                reason = str(error) or repr(error)
            pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
            failures = 1 if self._board.loaded else failures + 1
            self._say(reason)
            await asyncio.sleep(pause)

    async def _read(self) -> None:
        """From the beginning and on, until something makes another beginning necessary."""
        # No reset policy: an offset out of range means that the topic is another one, and the board is wrong.
        client = consumer(self._kafka, "rendercast-gateway", None, auto_offset_reset="none")
        await connect(client, self._kafka)
        try:
            begins, ends = await self._bounds(client)
            made = await topic_id(client, self._topic)
            self._board.begin_anew(made, await _traceless(client, begins, ends))
            metrics.FEED_RELOADS.inc()
            client.assign(list(begins))
            for partition, offset in begins.items():
                client.seek(partition, offset)
            await until_one_ends(self._follow(client, ends), self._look(client, list(begins), made))
        finally:
            await close(client)

    async def _bounds(self, client: AIOKafkaConsumer) -> tuple[Offsets, Offsets]:
        """First offset and end of every partition. Asking for all topics first: asking for one might make it."""
        missing = self._needed - await client.topics()
        if missing:
            raise StopProcess(f"missing topics: {', '.join(sorted(missing))}; `rendercast topics apply` makes them")
        await client.end_offsets([TopicPartition(self._topic, 0)])  # brings what the client knows of the topic
        partitions = [TopicPartition(self._topic, each) for each in sorted(client.partitions_for_topic(self._topic))]
        return await client.beginning_offsets(partitions), await client.end_offsets(partitions)

    async def _follow(self, client: AIOKafkaConsumer, ends: Offsets) -> None:
        while True:
            if not self._board.loaded:
                # By position: what stands before the end can be markers and aborted records, which nobody gets.
                unread = {each: end for each, end in ends.items() if await client.position(each) < end}
                if not unread:
                    self._board.passed({each.partition: await client.position(each) for each in ends})
                    self._board.has_loaded()
                    self._say(None)
                else:
                    self._trouble = f"the jobs are being read: {len(unread)} of {len(ends)} partitions to go"
            batches = await client.getmany(timeout_ms=200, max_records=BATCH_RECORDS)
            for partition, records in batches.items():
                for record in records:
                    self._board.read(partition.partition, record.offset, record.key, record.value)
                metrics.FEED_READ.set(records[-1].timestamp / 1000)
            # In silence those of all: a fetch can bring nothing but markers.
            self._board.passed({each.partition: await client.position(each) for each in batches or ends})
            await asyncio.sleep(0)  # the readers' turn, also while there is always more

    async def _look(self, client: AIOKafkaConsumer, partitions: list[TopicPartition], made: str) -> None:
        """Whether Kafka still answers (the client alone would be silent for ever), and how far behind this is.

        Raises KafkaError when the topic is another one.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    ends = await client.end_offsets(partitions)
            except (TimeoutError, KafkaError) as error:
                self._say(f"Kafka does not answer: {str(error) or 'no answer in time'}")
                continue
            # Any broker is asked for this, also one that is away while those of the partitions are not.
            with contextlib.suppress(TimeoutError, NodeNotReadyError, RequestTimedOutError, KafkaConnectionError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    if await topic_id(client, self._topic) not in ("", made):
                        raise KafkaError(f"{self._topic} has been made anew")
            metrics.FEED_LAG.set(sum([max(0, ends[each] - await client.position(each)) for each in partitions]))
            if self._board.loaded:
                self._say(None)

    def _say(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            if trouble is None:
                log.info("jobs are up to date", held=len(self._board.view))
            else:
                log.warning("jobs are not up to date", reason=trouble)
        self._trouble = trouble
        metrics.FEED_LIVE.set(trouble is None)


async def _traceless(client: AIOKafkaConsumer, begins: Offsets, ends: Offsets) -> dict[int, int]:
    """Up to where in each partition what has been may have left no trace: before what Kafka surely still has."""
    since = int((time.time() - TOMBSTONES_SECONDS) * 1000)
    first_since = await client.offsets_for_times(dict.fromkeys(begins, since))
    return {
        each.partition: max(begin, found.offset if (found := first_since.get(each)) else ends[each])
        for each, begin in begins.items()
    }
