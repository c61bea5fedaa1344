"""The send buffer in front of Kafka: takes at once, is bounded in bytes, and sends in order until Kafka has it.

Nothing that was parsed is refused or dropped: whoever reads from the upstream asks for `room` before reading on, so the
bound can be passed by what one read of each stream brought, and by no more.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, takewhile
from time import monotonic, time

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from connectors.kafka import close, connect, producer
from connectors.upstream import metrics
from schemas.codec import encode
from schemas.dead_letters import DeadLetter
from schemas.errors import StopProcess
from schemas.headers import Describe, Headers, headers
from schemas.observations import Observation
from schemas.settings import KafkaSettings
from schemas.topics import Topics

log = structlog.get_logger()

CLIENT_ID = "rendercast-connector"
_OVERHEAD_BYTES = 700
"""Of one record in memory, beside the bytes of key, value and headers: its objects."""
_GATHER_SECONDS = 0.01
"""After the first record of a wave: what comes meanwhile goes with it, which halves the work of sending."""
_WAVE_BYTES = 524_288
_BATCH_BYTES = 262_144
_REQUEST_MS = 10_000
_RETRY_SECONDS = 1.0
_STALLED_SECONDS = 10.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError)


@dataclass(slots=True, eq=False)
class _Letter:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None = None
    size: int = 0
    put_at: float = 0

    def __post_init__(self) -> None:
        self.put_at = monotonic()
        named = sum(len(name) + len(value) for name, value in self.headers)
        self.size = _OVERHEAD_BYTES + len(self.key or b"") + len(self.value or b"") + named


class Outbox:
    """Observations and dead letters on their way to Kafka."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, limit_bytes: int, describe: Describe = headers) -> None:
        self._headers = describe
        self._kafka = kafka
        self._topics = topics
        self._limit = limit_bytes
        self._letters: deque[_Letter] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._empty = asyncio.Event()
        self._has_room.set()
        self._empty.set()
        self._error: str | None = None
        self._moved_at = monotonic()

    def put(self, observation: Observation, partition: int | None = None) -> None:
        """On the partition of the file's watch: the processor's document is there, whoever partitioned the command."""
        metrics.OBSERVATIONS.labels(observation.type, observation.source).inc()
        key = observation.file_id.encode()
        self._push(_Letter(self._topics.upstream, key, encode(observation), self._headers(observation), partition))

    def bury(self, letter: DeadLetter) -> None:
        """Send what can never work to the dead letters."""
        metrics.DEAD_LETTERS.labels(letter.reason).inc()
        log.warning("dead letter", reason=letter.reason, detail=letter.detail, topic=letter.topic)
        body = letter.body()
        if letter.key is None and body is None:  # aiokafka sends no record without both
            body = b""
        self._push(_Letter(self._topics.dead_letters, letter.short_key(), body, letter.headers()))

    def trouble(self) -> str | None:
        """Why Kafka takes nothing; None while it does."""
        waited = monotonic() - self._moved_at if self._letters else 0
        stalled = f"Kafka has taken no observation for {waited:.0f} s" if waited > _STALLED_SECONDS else None
        return self._error or stalled

    async def room(self) -> None:
        """Returns when more may be read. Of many who wait, as many go on as there is room for."""
        while self.is_full:
            await self._has_room.wait()

    @property
    def is_full(self) -> bool:
        return not self._has_room.is_set()

    async def emptied(self) -> None:
        """Returns when Kafka has everything."""
        await self._empty.wait()

    async def run(self, first: AIOKafkaProducer) -> None:
        """Send for ever, beginning with a producer that is connected already. Owns its producers."""
        sending: AIOKafkaProducer | None = first
        try:
            while True:
                if sending is None:
                    sending = await self._reconnected()
                await self._filled.wait()
                await asyncio.sleep(_GATHER_SECONDS)
                if not await self._send_wave(sending):
                    # An idempotent producer that gave up on a batch has a hole in its numbers: it cannot go on.
                    await close(sending)
                    sending = None
        finally:
            if sending is not None:
                await close(sending)

    def _push(self, letter: _Letter) -> None:
        if not self._letters:
            self._moved_at = monotonic()
        self._letters.append(letter)
        self._count(letter.size)

    def _count(self, size: int) -> None:
        self._bytes += size
        metrics.BUFFER_BYTES.set(self._bytes)
        for event, holds in (
            (self._filled, bool(self._letters)),
            (self._empty, not self._letters),
            (self._has_room, self._bytes < self._limit),
        ):
            if holds:
                event.set()
            else:
                event.clear()

    async def _send_wave(self, sending: AIOKafkaProducer) -> bool:
        """Send what waits, up to a size; whether Kafka took it. What it did not take stays, in order."""
        wave = self._next_wave()
        waiting = set(wave)
        trouble: BaseException | None = None
        posted: list[tuple[list[_Letter], asyncio.Future[object]]] = []
        try:
            for parcel in _parcels(sending, wave):
                posted.append((parcel.letters, await parcel.post(sending)))  # noqa: PERF401 - those before an error count
        except KafkaError as error:
            trouble = error
        ends = await asyncio.gather(*(end for _, end in posted), return_exceptions=True)
        metrics.ACKNOWLEDGED_SECONDS.observe(monotonic() - wave[0].put_at)
        for (letters, _), end in zip(posted, ends, strict=True):
            if isinstance(end, BaseException) and not isinstance(end, _TOO_LARGE):
                trouble = end
                continue
            waiting.difference_update(letters)
            if isinstance(end, _TOO_LARGE):
                log.error("record too large for Kafka, dropped", topic=letters[0].topic, bytes=letters[0].size)
        self._replace(wave, [each for each in wave if each in waiting])
        self._tell(trouble)
        return trouble is None

    def _next_wave(self) -> list[_Letter]:
        sizes = accumulate((each.size for each in self._letters), initial=0)
        return [each for each, _ in zip(self._letters, takewhile(lambda size: size < _WAVE_BYTES, sizes), strict=False)]

    def _replace(self, wave: list[_Letter], kept: list[_Letter]) -> None:
        for _ in wave:
            self._letters.popleft()
        self._letters.extendleft(reversed(kept))
        if len(kept) < len(wave):
            self._moved_at = monotonic()
        self._count(sum(each.size for each in kept) - sum(each.size for each in wave))

    def _tell(self, trouble: BaseException | None) -> None:
        if trouble is not None:
            metrics.SEND_FAILURES.inc()
            log.warning("Kafka does not take observations", error=repr(trouble), waiting_bytes=self._bytes)
        elif self._error is not None:
            log.info("Kafka takes observations again")
        self._error = None if trouble is None else f"Kafka takes no observations: {trouble!r}"

    async def _reconnected(self) -> AIOKafkaProducer:
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                return await connect(new_producer(self._kafka), self._kafka)
            except StopProcess as error:  # at the start it is the operator's; in mid-run the buffer holds
                self._error = str(error)


def new_producer(kafka: KafkaSettings) -> AIOKafkaProducer:
    """The connector's producer, not connected yet."""
    return producer(kafka, CLIENT_ID, request_timeout_ms=_REQUEST_MS, linger_ms=0, max_batch_size=_BATCH_BYTES)


@dataclass(slots=True)
class _Parcel:
    """Letters that Kafka takes or does not take together: one, or a batch for one partition."""

    letters: list[_Letter]
    batch: BatchBuilder | None = None

    async def post(self, sending: AIOKafkaProducer) -> asyncio.Future[object]:
        """On the way; the future is Kafka's answer."""
        first = self.letters[0]
        try:
            if self.batch is not None:
                return await sending.send_batch(self.batch, first.topic, partition=first.partition)  # type: ignore[no-any-return]
            return await sending.send(first.topic, first.value, key=first.key, headers=first.headers)  # type: ignore[no-any-return]
        except _TOO_LARGE as error:
            found: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            found.set_exception(error)
            return found


def _parcels(sending: AIOKafkaProducer, wave: list[_Letter]) -> Iterator[_Parcel]:
    """The wave in batches, where the partition is known: built here they cost a tenth of `send`."""
    unfinished: dict[tuple[str, int], _Parcel] = {}
    now = int(time() * 1000)
    for letter in wave:
        if letter.partition is None:
            yield _Parcel([letter])
            continue
        place = letter.topic, letter.partition
        parcel = unfinished.get(place)
        if parcel is None or not _append(parcel, letter, now):
            if parcel is not None:
                yield parcel
            unfinished[place] = parcel = _Parcel([], sending.create_batch())
            _append(parcel, letter, now)  # the first one always fits
    yield from unfinished.values()


def _append(parcel: _Parcel, letter: _Letter, now: int) -> bool:
    assert parcel.batch is not None
    if parcel.batch.append(timestamp=now, key=letter.key, value=letter.value, headers=letter.headers) is None:
        return False
    parcel.letters.append(letter)
    return True
