"""A partition that this process holds: its transactional producer and its rows."""

import asyncio
import contextlib
import time
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from brokers import arguments
from schemas.settings import KafkaSettings
from streams.rows import Rows
from streams.settings import EngineSettings
from streams.step import Outgoing

MAX_BATCH_BYTES = 1 << 20


class HeldPartition:
    """Made by `fence`: from then on nobody else's transaction on this partition can commit."""

    def __init__(self, number: int, producer: AIOKafkaProducer) -> None:
        self.number = number
        self.rows = Rows()
        self._producer = producer

    @classmethod
    async def fence(cls, app_id: str, number: int, kafka: KafkaSettings, engine: EngineSettings) -> "HeldPartition":
        """Take the partition's transactional id: an old owner, frozen or cut off, fails at its next write.

        One id per partition, not per worker: aiokafka's `send_offsets_to_transaction` knows no group epoch, so an
        id per worker would fence nobody. InitProducerId also ends what the old owner left open.
        """
        producer = AIOKafkaProducer(
            **arguments(kafka),
            transactional_id=f"{app_id}-{number}",
            transaction_timeout_ms=int(engine.transaction_timeout * 1000),
            request_timeout_ms=int(engine.request_timeout * 1000),
            retry_backoff_ms=engine.retry_backoff_ms,
            max_batch_size=MAX_BATCH_BYTES,
        )
        held = cls(number, producer)
        try:
            await producer.start()
        except BaseException:
            await held.release()
            raise
        return held

    async def transact(self, out: Iterable[Outgoing]) -> None:
        """All of it or nothing, on this partition of each topic. Batches built here cost a tenth of `send`."""
        producer, sent = self._producer, []
        open_batches: dict[str, BatchBuilder] = {}
        now = int(time.time() * 1000)
        await producer.begin_transaction()
        for each in out:
            batch = open_batches.get(each.topic)
            if batch is None or not _append(batch, each, now):
                if batch is not None:
                    sent.append(await producer.send_batch(batch, each.topic, partition=self.number))
                batch = open_batches[each.topic] = producer.create_batch()
                _append(batch, each, now)  # the first one fits: what goes into a document is bounded
        for topic, batch in open_batches.items():
            sent.append(await producer.send_batch(batch, topic, partition=self.number))
        await asyncio.gather(*sent)
        await producer.commit_transaction()

    async def release(self) -> None:
        """Stop the producer. What it had open is not committed; whoever takes the partition next ends it."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._producer.stop(), 3)


def _append(batch: BatchBuilder, record: Outgoing, now: int) -> bool:
    value = b"" if record.key is None and record.value is None else record.value  # Kafka wants one of the two
    return batch.append(timestamp=now, key=record.key, value=value, headers=record.headers) is not None
