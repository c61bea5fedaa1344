"""Topic `watches` → fleet. The topic is compacted: read from its beginning, a partition is its whole work list.

Nothing is committed. A partition that comes to this process is read to its end first and only then made true, so that
no watch is started that a later record has ended. After that each record is made true as it comes.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, KafkaTimeoutError
from aiokafka.structs import ConsumerRecord

from connectors.kafka import age, behind
from connectors.upstream import metrics
from connectors.upstream.fleet import Fleet
from connectors.upstream.outbox import CLIENT_ID, Outbox
from schemas import Watch, is_uuid
from schemas.codec import decode_watch
from schemas.dead_letters import DeadLetter
from schemas.errors import RejectRecord, StopProcess

log = structlog.get_logger()

_POLL_MS = 250
_ASK_SECONDS = 5.0
_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Shard:
    """One partition. `list` is its work list; `end` is where loading ends, None until the broker has told."""

    list: dict[str, Watch] = field(default_factory=dict)
    position: int = 0
    end: int | None = None
    is_loaded: bool = False


class Reconciler(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Keeps the fleet as the topic says."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, fleet: Fleet, outbox: Outbox) -> None:
        self._consumer = consumer
        self._topic = topic
        self._fleet = fleet
        self._outbox = outbox
        self._shards: dict[TopicPartition, _Shard] = {}
        self._is_assigned = False
        self._waits_since: int | None = None
        metrics.LAG_SECONDS.set_function(age(lambda: self._waits_since))

    def not_ready(self) -> str | None:
        """Until all partitions that are ours have been read."""
        if not self._is_assigned:
            return "has no partitions of the watches yet"
        loading = sorted(each.partition for each, shard in self._shards.items() if not shard.is_loaded)
        return f"reads its watches: partitions {', '.join(map(str, loading))}" if loading else None

    async def run(self) -> None:
        """Read for ever. Raises StopProcess on what Kafka will not let us do."""
        self._consumer.subscribe([self._topic], listener=self)
        while True:
            try:
                # Between reading and applying nothing is awaited: a rebalance cannot come between them.
                found = await self._consumer.getmany(timeout_ms=_POLL_MS)
                for partition, records in found.items():
                    self._apply(partition, records)
                await self._finish_loading()
                await self._measure(found)
            except KafkaError as error:
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise StopProcess(f"cannot read {self._topic}: {error!r}", topic=self._topic) from error
                log.warning("cannot read watches, will try again", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing yet: every rebalance takes all partitions and gives most back, whose streams must not break."""

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """What is lost ends at once. What stayed is read on from where it was; what is new from the beginning."""
        ours = set(assigned)
        for partition in self._shards.keys() - ours:
            for file_id in self._shards.pop(partition).list:
                self._fleet.drop(file_id)
        for partition in ours:
            if shard := self._shards.get(partition):
                self._consumer.seek(partition, shard.position)
            else:
                self._shards[partition] = _Shard()
        self._is_assigned = True
        log.info("partitions assigned", topic=self._topic, partitions=sorted(each.partition for each in ours))

    def _apply(self, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        if partition not in self._consumer.assignment():
            return
        shard = self._shards.setdefault(partition, _Shard())
        for record in records:
            shard.position = record.offset + 1
            try:
                file_id, watch = _read(record)
            except RejectRecord as error:
                self._outbox.bury(DeadLetter.of(record, error.reason, str(error), CLIENT_ID))
                continue
            if watch is None:
                shard.list.pop(file_id, None)
            else:
                shard.list[file_id] = watch
            if shard.is_loaded:
                self._make_true(file_id, watch, partition.partition)

    async def _finish_loading(self) -> None:
        """Begin the watches of partitions that have been read to the end they had when they came."""
        loading = {each: shard for each, shard in self._shards.items() if not shard.is_loaded}
        if unknown := [each for each, shard in loading.items() if shard.end is None]:
            for partition, end in (await self._consumer.end_offsets(unknown)).items():
                loading[partition].end = end
        for partition, shard in loading.items():
            if await self._reached(partition, shard) and self._shards.get(partition) is shard:
                shard.is_loaded = True
                for file_id, watch in shard.list.items():
                    self._make_true(file_id, watch, partition.partition)
                log.info("watches read", partition=partition.partition, watches=len(shard.list))

    async def _reached(self, partition: TopicPartition, shard: _Shard) -> bool:
        if shard.end is None:
            return False
        if shard.end <= shard.position:
            return True
        # The last offsets can belong to transaction markers or to records that compaction took: ask the client.
        with contextlib.suppress(TimeoutError, IllegalStateError):
            async with asyncio.timeout(_ASK_SECONDS):
                return bool(await self._consumer.position(partition) >= shard.end)
        return False

    async def _measure(self, read: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        lag = sum((await behind(self._consumer, dict.fromkeys(self._shards))).values())
        metrics.LAG.set(lag)
        if not lag:
            self._waits_since = None
        elif read:
            self._waits_since = max(records[-1].timestamp for records in read.values())

    def _make_true(self, file_id: str, watch: Watch | None, partition: int) -> None:
        if watch is None:
            self._fleet.drop(file_id)
        else:
            self._fleet.put(watch, partition)


def _read(record: ConsumerRecord) -> tuple[str, Watch | None]:
    file_id = (record.key or b"").decode("ascii", "replace").lower()
    if not is_uuid(file_id):
        raise RejectRecord("bad_key", f"the key is not a file id: {record.key!r}")
    if record.value is None:
        return file_id, None
    watch = decode_watch(record.value)
    if watch.file_id != file_id:
        raise RejectRecord("bad_key", f"the key is {file_id}, the file {watch.file_id}")
    return file_id, watch
