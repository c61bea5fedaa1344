"""The storage sink: requests in, many copies at once, `stored` out, offsets in order.

A record is settled when `stored` has been acknowledged or its dead letter has; the group's offset passes settled
records only. A record may so be seen twice, after a crash or a rebalance: the second copy finds the first, fetches
nothing, and tells the same again.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime
from typing import Any, cast

import stamina
import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from connectors.kafka import age, behind, close, connect, consumer, producer, send_dead_letter, translated
from connectors.storage.attempts import Attempts
from connectors.storage.copier import Copier
from connectors.storage.fetch import Fetcher
from connectors.storage.metrics import CHECKS, LAG, LAG_SECONDS, OBJECTS, OPEN, REFUSED
from connectors.storage.settings import StorageSettings
from connectors.storage.store import ObjectStore
from connectors.storage.troubles import Troubles
from connectors.storage.window import Window
from schemas import Check, StorageRequest, Stored, utcnow
from schemas.base import EARLIEST, LATEST
from schemas.codec import decode_storage_request, encode
from schemas.dead_letters import DeadLetter
from schemas.errors import RejectRecord, RetryLater, StopProcess
from schemas.settings import KafkaSettings
from schemas.topics import Topics
from tracing import OFF, Tracing, messaging, now

log = structlog.get_logger()

_NAME = "rendercast-storage"
_POLL_MS = 200
_KAFKA_SECONDS = 5
_LAST_SECONDS = 1.0
"""For each of the last things at a stop: committing, and closing the two clients."""
_MAX_VALUE_BYTES = 65_536


class StorageSink:
    """Service. Needs the topics to be there."""

    def __init__(self, settings: StorageSettings, kafka: KafkaSettings, topics: Topics, tracing: Tracing = OFF) -> None:
        self._settings = settings
        self._kafka = kafka
        self._topics = topics
        self._tracing = tracing
        self._store = ObjectStore(settings)
        self._fetcher = Fetcher(settings)
        self._consumer: Any = None
        self._producer: Any = None
        self._windows: dict[Any, Window] = {}
        self._tasks: dict[asyncio.Task[None], Any] = {}
        self._written: dict[asyncio.Task[None], int] = {}  # when the record of each task was, in milliseconds
        self._latest: dict[Hashable, int] = {}  # by object: the offset of the last request in hand
        self._committed: dict[Any, int] = {}
        self._troubles = Troubles()
        self._attempts = Attempts(
            settings, Copier(settings, self._fetcher, self._store), self._troubles, self._ask_for_check
        )

        LAG_SECONDS.set_function(age(lambda: min(tuple(self._written.values()), default=None)))

    def not_ready(self) -> str | None:
        return self._troubles.first

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`; copies in hand may finish within the grace time. Raises StopProcess."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._fetcher)
            await self._store.sweep()
            self._producer = await connect(producer(self._kafka, _NAME), self._kafka)
            stack.push_async_callback(close, self._producer, _LAST_SECONDS)
            self._consumer = await connect(
                consumer(
                    self._kafka,
                    _NAME,
                    self._topics.prefix + self._settings.group_id,
                    group_instance_id=self._settings.group_instance_id,
                    session_timeout_ms=int(self._settings.session_timeout_seconds * 1000),
                ),
                self._kafka,
            )
            stack.push_async_callback(close, self._consumer, _LAST_SECONDS)
            stack.push_async_callback(self._give_up)
            self._consumer.subscribe([self._topics.storage], listener=_Listener(self))
            self._troubles.await_partitions()
            stopping = asyncio.create_task(stop.wait())
            stack.callback(stopping.cancel)
            while not stop.is_set():
                await self._step(stopping)
            await self._finish()

    async def _step(self, stopping: asyncio.Task[bool]) -> None:
        self._reap()
        self._require_same_log()
        work = asyncio.create_task(self._committed_and_fetched())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return
        try:
            found = work.result()
        except RetryLater as error:
            self._troubles.note("kafka", error)
            await asyncio.wait({stopping}, timeout=1)
            return
        self._troubles.over("kafka")
        for partition, sources in found.items():
            for source in sources:
                self._take(partition, source)

    async def _committed_and_fetched(self) -> dict[Any, list[Any]]:
        await self._commit()
        LAG.set(sum((await behind(self._consumer, self._unsettled())).values()))
        self._make_room()
        rooms = [window.room for window in self._windows.values() if window.room]
        with translated():
            found: dict[Any, list[Any]] = await self._consumer.getmany(
                timeout_ms=_POLL_MS, max_records=min(rooms, default=1)
            )
        return found

    def _make_room(self) -> None:
        """A partition whose window is full is paused: its oldest record holds up no other partition."""
        full = {partition for partition, window in self._windows.items() if not window.room}
        with contextlib.suppress(IllegalStateError):  # it has just been revoked
            self._consumer.pause(*full)
            self._consumer.resume(*(self._consumer.paused() - full))

    def _take(self, partition: Any, source: Any) -> None:
        window = self._windows.get(partition)
        if window is None or source.offset < (window.next or 0):
            return  # fetched before a rebalance, which has ended meanwhile
        window.take(source.offset)
        task = asyncio.create_task(self._settle(source, window))
        self._tasks[task] = partition
        self._written[task] = source.timestamp

    def _reap(self) -> None:
        """A task that ended by an error ends the process: it is StopProcess, or a bug."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task], self._written[task]
            self._attempts.busy.discard(task)
            if not task.cancelled():
                task.result()
        OPEN.set(len(self._tasks))

    async def _settle(self, source: Any, window: Window) -> None:
        """From a record in to its answer out, whatever that is."""
        started, request, refused = now(), None, None
        try:
            request = decode_storage_request(_small(source.value or b""))
            stored = await self._copied(request, source)
        except RejectRecord as error:
            refused = str(error)
            self._attempts.busy.add(asyncio.current_task())
            attempts = cast("int", error.facts.get("attempts", 1))
            letter = DeadLetter.of(source, error.reason, str(error), _NAME, attempts)
            await self._sent(lambda: send_dead_letter(self._producer, self._topics, letter))
            REFUSED.labels(error.reason).inc()
            log.warning("to dead letters", reason=error.reason, detail=str(error), offset=source.offset)
        else:
            if stored is None:
                OBJECTS.labels("replaced").inc()
            else:
                await self._sent(lambda: self._tell(stored, source.partition))
                log.info("stored", file_id=stored.file_id, generation=stored.generation, bytes=stored.bytes)
        window.settle(source.offset)
        if request is not None and self._tracing.is_on:
            place = messaging("process", source.topic, partition=source.partition, offset=source.offset)
            self._tracing.span(request, f"copy {request.role}", started, now(), place, kind="consumer", error=refused)

    async def _copied(self, request: StorageRequest, source: Any) -> Stored | None:
        """None where a later request has taken this one's place."""
        name, at = _object(request, source.partition), _moment(source.timestamp)
        self._latest[name] = max(source.offset, self._latest.get(name, 0))
        try:
            return await self._attempts.copy(
                request, at, lambda: self._is_replaced(request, source.partition, source.offset), source.partition
            )
        finally:
            if self._latest.get(name) == source.offset:
                del self._latest[name]

    def _is_replaced(self, request: StorageRequest, partition: int, offset: int) -> bool:
        """Whether a later request for the same object is in hand."""
        return self._latest.get(_object(request, partition), offset) > offset

    async def _ask_for_check(self, request: StorageRequest, partition: int) -> None:
        check = Check(file_id=request.file_id, expired_url=request.url, issued_at=utcnow())
        key, told = check.file_id.encode(), self._tracing.headers(check)
        send = functools.partial(self._producer.send_and_wait, self._topics.commands, encode(check), key=key)
        await self._sent(lambda: send(headers=told, partition=partition))
        CHECKS.inc()
        log.info("URL has expired, asked for a check", file_id=request.file_id, generation=request.generation)

    async def _tell(self, stored: Stored, partition: int) -> None:
        """On the partition of the request, where the file's other records are."""
        key, told = stored.file_id.encode(), self._tracing.headers(stored)
        await self._producer.send_and_wait(
            self._topics.stored, encode(stored), key=key, headers=told, partition=partition
        )

    async def _sent(self, send: Callable[[], Any]) -> None:
        """Returns when the broker has the record, however long that takes: its window holds further ones back."""
        async for attempt in stamina.retry_context(on=RetryLater, attempts=None, timeout=None, wait_max=5):
            with attempt, translated():
                await send()

    def _require_same_log(self) -> None:
        """Raises StopProcess where the topic was made anew under us: what is on it would be passed over."""
        for partition, window in self._windows.items():
            end = self._consumer.highwater(partition) if partition in self._consumer.assignment() else None
            if end is not None and window.next is not None and end < window.next:
                raise StopProcess(
                    f"partition {partition.partition} of {partition.topic} was read up to {window.next}, but it ends "
                    f"at {end}: the topic was made anew. Start the sink again to read it from its beginning"
                )

    async def _commit(self, seconds: float = _KAFKA_SECONDS) -> None:
        moved = {
            partition: window.settled
            for partition, window in self._windows.items()
            if window.settled is not None and window.settled != self._committed.get(partition)
        }
        if not moved:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._consumer.commit(moved)
        except (CommitFailedError, IllegalStateError, KafkaError, TimeoutError) as error:
            log.debug("offsets were not committed", reason=str(error))
        else:
            self._committed.update(moved)

    def _unsettled(self) -> dict[Any, int | None]:
        """By partition, the first record that was taken and is not settled."""
        return {each: None if it.settled == it.next else it.settled for each, it in self._windows.items()}

    async def _finish(self) -> None:
        """Copies in hand may end; what waits for a slot or for its next try is left to the next owner."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stop_grace_seconds):
                while self._tasks:
                    for task in self._tasks:
                        if task not in self._attempts.busy:
                            task.cancel()
                    await asyncio.wait(self._tasks, timeout=_POLL_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
                    self._reap()

    async def _give_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._commit(_LAST_SECONDS)

    async def leave(self) -> None:
        """A rebalance begins. Copies go on: most partitions come back."""
        await self._commit()

    def take(self, assigned: Iterable[Any]) -> None:
        """A rebalance has ended. What is another's now is let go; what has stayed goes on where it was."""
        kept = set(assigned)
        for task, partition in self._tasks.items():
            if partition not in kept:
                task.cancel()
        self._committed.clear()
        self._windows = {each: self._windows.get(each) or Window(self._settings.window) for each in kept}
        for partition, window in self._windows.items():
            if window.next is not None:
                self._consumer.seek(TopicPartition(*partition), window.next)
        if self._windows:
            self._troubles.over("partitions")
        else:  # a spare process, or the topic is gone
            self._troubles.await_partitions()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, sink: StorageSink) -> None:
        self._sink = sink

    async def on_partitions_revoked(self, _: Any) -> None:
        await self._sink.leave()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._sink.take(assigned)


def _object(request: StorageRequest, partition: int) -> Hashable:
    """Offsets are of one partition, and a producer may partition as it likes."""
    return partition, request.file_id, request.generation, request.role


def _small(value: bytes) -> bytes:
    """What waits for its turn is bounded in bytes, too."""
    if len(value) > _MAX_VALUE_BYTES:
        raise RejectRecord("invalid", f"value: expected at most {_MAX_VALUE_BYTES} bytes, got {len(value)}")
    return value


def _moment(milliseconds: int) -> datetime:
    """Of a record: its producer may have written any number."""
    try:
        return min(max(datetime.fromtimestamp(milliseconds / 1000, UTC), EARLIEST), LATEST)
    except (ValueError, OverflowError, OSError):
        return EARLIEST
