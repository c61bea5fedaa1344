"""What is no longer held: read from Kafka, for one reader, within bounds."""

import asyncio
from dataclasses import replace
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from connectors.gateway import metrics
from connectors.gateway.changes import Change
from connectors.gateway.channels import file_of
from connectors.gateway.reach import Ranges
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.shown import decode_shown
from connectors.kafka import close, connect, consumer
from schemas.errors import RejectRecord, StopProcess
from schemas.settings import KafkaSettings

log = structlog.get_logger()

BATCH_RECORDS = 500


class Gathered:
    """The last change of each job of some channels, out of records that come in their order."""

    def __init__(self, channels: tuple[str, ...], limit: int) -> None:
        self.changes: dict[str, Change] = {}
        self.useless = False
        """There are more jobs than `limit`, or something happened to them that the records do not say."""
        self._channels, self._limit = channels, limit

    def take(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        try:
            change = None if value is None else decode_shown(value).change(-1, partition, offset)
        except RejectRecord:
            return
        file_id = change.file_id if change else (key or b"").decode(errors="replace")
        before = self.changes.pop(file_id, None)
        if change is None and before is not None:
            change = replace(before, partition=partition, offset=offset, body=None)
        if change is not None and change.is_told_on(self._channels):
            self.changes[file_id] = change
        # Of a job that is forgotten, and was not held then, nobody is told; but here its end may have been told before.
        self.useless |= len(self.changes) > self._limit or (change is None and file_id == file_of(self._channels))


class Past(Protocol):
    """The topic of jobs."""

    async def read(self, ranges: Ranges, gathered: Gathered) -> bool:
        """All records of the ranges into `gathered`; False where that is not possible, or not useful."""
        ...


class NoPast:
    """Where there is no Kafka."""

    async def read(self, ranges: Ranges, gathered: Gathered) -> bool:  # noqa: ARG002 - nothing is there
        return False


class KafkaPast:
    """Some readers at once; each may read so many records and bytes. Who calls has a deadline."""

    def __init__(self, kafka: KafkaSettings, topic: str, settings: GatewaySettings) -> None:
        self._kafka, self._topic, self._settings = kafka, topic, settings
        self._room = asyncio.Semaphore(settings.resume_reads)

    async def read(self, ranges: Ranges, gathered: Gathered) -> bool:
        complete = False
        try:
            async with self._room:
                client = consumer(self._kafka, "rendercast-gateway-past", None, auto_offset_reset="none")
                await connect(client, self._kafka)
                try:
                    complete = await self._gather(client, ranges, gathered)
                finally:
                    await close(client)
        except (KafkaError, StopProcess) as error:
            log.warning("past not read", reason=str(error) or repr(error))
        finally:
            metrics.PAST_READS.labels("complete" if complete else "given_up").inc()
        return complete

    async def _gather(self, client: AIOKafkaConsumer, ranges: Ranges, gathered: Gathered) -> bool:
        ends = {TopicPartition(self._topic, each): end for each, (_, end) in ranges.items()}
        client.assign(list(ends))
        for partition in ends:
            client.seek(partition, ranges[partition.partition][0])
        records_left, bytes_left = self._settings.resume_records, self._settings.resume_bytes
        while unread := [each for each, end in ends.items() if await client.position(each) < end]:
            client.pause(*(set(ends) - set(unread)))
            batches = await client.getmany(*unread, timeout_ms=200, max_records=BATCH_RECORDS)
            for partition, records in batches.items():
                for record in records:
                    if record.offset < ends[partition]:
                        gathered.take(partition.partition, record.offset, record.key, record.value)
                    records_left -= 1
                    bytes_left -= len(record.value or b"")
            if gathered.useless or records_left < 0 or bytes_left < 0:
                return False
            await asyncio.sleep(0)  # the others' turn
        return not gathered.useless
