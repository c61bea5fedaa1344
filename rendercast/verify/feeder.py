"""Writing a plan's records to the source topics when they are due."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from connectors.kafka import connect, producer
from rendercast.verify.agenda import Agenda
from rendercast.verify.plan import Raw, Say
from schemas import Cancel, Command, Observation, Result
from schemas.codec import encode
from schemas.errors import StopProcess
from schemas.headers import headers
from schemas.settings import KafkaSettings
from schemas.topics import Topics

TICK_SECONDS = 0.05
RETRY_SECONDS = 0.5
STOP_SECONDS = 5
TRANSACTION_SECONDS = 0.3
"""Between two transactions; each takes all that is due."""

DELIVERY_SECONDS = 60
"""For what is due at one moment; a broker that is killed and started again needs less."""

ABORTED = 0.25
"""How many transactions have a false one before them."""


class Written(Protocol):
    """What the broker answers."""

    offset: int


class Feeder:
    """Says all of the agenda. `ends` is where the last record of each partition ends that a reader may see."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, agenda: Agenda, aborts: random.Random | None) -> None:
        self.ends: dict[TopicPartition, int] = {}
        self.written: Counter[str] = Counter()  # records, by topic
        self.said_again: set[str] = set()  # files
        self.aborted = 0
        self._kafka, self._agenda, self._aborts = kafka, agenda, aborts
        self._names = {"commands": topics.commands, "upstream": topics.upstream}
        self._options = {"transactional_id": f"{topics.prefix}feeder"} if aborts else {}
        self._client: AIOKafkaProducer | None = None

    async def run(self, clock: Callable[[], float], patience: float) -> list[str]:
        """What scripts still wait for, in words: nothing when all was said.

        It gives up when for `patience` seconds nothing was due and nothing was heard.
        """
        tick = TRANSACTION_SECONDS if self._aborts else TICK_SECONDS
        moves, moved_at = -1, clock()
        try:
            while not self._agenda.is_over:
                if says := self._agenda.due(clock()):
                    await self._deliver(says)
                if self._agenda.moves != moves:
                    moves, moved_at = self._agenda.moves, clock()
                elif self._agenda.awaited and clock() - moved_at > patience:
                    break
                await asyncio.sleep(tick)
        finally:
            await self._drop_client()
        return [f"awaited: {fact.what} of {fact.file_id} {fact.generation}" for fact in self._agenda.awaited]

    async def _deliver(self, says: Sequence[Say]) -> None:
        """All of them, in order. Where the broker gave no clear answer they are said again, as producers do."""
        give_up = time.monotonic() + DELIVERY_SECONDS
        while True:
            try:
                async with asyncio.timeout(DELIVERY_SECONDS):
                    client = self._client = self._client or await connect(self._producer(), self._kafka)
                    if self._aborts is None:
                        written = await self._send(client, says)
                    else:
                        written = await self._transaction(client, says, self._aborts)
                break
            except (KafkaError, TimeoutError, StopProcess) as error:
                self.said_again |= {_file(say) for say in says} if self._client else set()
                await self._drop_client()
                if time.monotonic() > give_up:
                    raise StopProcess(f"Kafka has taken nothing for {DELIVERY_SECONDS} s: {error}") from error
                await asyncio.sleep(RETRY_SECONDS)
        for say, (tp, one) in zip(says, written, strict=True):
            self.written[say.topic] += 1
            self.ends[tp] = max(self.ends.get(tp, 0), one.offset + 1)

    async def _send(self, client: AIOKafkaProducer, says: Iterable[Say]) -> list[tuple[TopicPartition, Written]]:
        futures = []
        for say in says:
            record = say.record
            if isinstance(record, Raw):
                key, value, described = record.key, record.value, None
            else:
                key, value, described = record.file_id.encode(), encode(record), headers(record)
            futures.append(await client.send(self._names[say.topic], value, key=key, headers=described))
        answers = await asyncio.gather(*futures)
        return [(TopicPartition(each.topic, each.partition), each) for each in answers]

    async def _transaction(
        self, client: AIOKafkaProducer, says: Sequence[Say], aborts: random.Random
    ) -> list[tuple[TopicPartition, Written]]:
        if aborts.random() < ABORTED:
            await client.begin_transaction()
            await self._send(client, _lies(says))
            await client.abort_transaction()
            self.aborted += 1
        await client.begin_transaction()
        written = await self._send(client, says)
        await client.commit_transaction()
        return written

    def _producer(self) -> AIOKafkaProducer:
        return producer(self._kafka, "rendercast-verify", request_timeout_ms=DELIVERY_SECONDS * 1000, **self._options)

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.stop(), STOP_SECONDS)


def _file(say: Say) -> str:
    record = say.record
    return (record.key or b"").decode() if isinstance(record, Raw) else record.file_id


def _lies(says: Iterable[Say]) -> list[Say]:
    """What would end these files otherwise, if anyone read it."""
    told: list[Say] = []
    for say in says:
        record: Command | Observation | Raw = say.record
        if not isinstance(record, Raw):
            at = record.issued_at if hasattr(record, "issued_at") else record.observed_at
            told += [
                Say(say.at, "upstream", Result(file_id=record.file_id, source="poll", observed_at=at,
                                               url="https://media.example/aborted")),
                Say(say.at, "commands", Cancel(file_id=record.file_id, issued_at=at)),
            ]  # fmt: skip
    return told
