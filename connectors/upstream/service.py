"""The connector as a process: consumer of `watches`, the fleet, producer of `upstream`."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from connectors.kafka import close, connect, consumer
from connectors.upstream.budget import Budget
from connectors.upstream.client import UpstreamClient
from connectors.upstream.fleet import Fleet
from connectors.upstream.outbox import CLIENT_ID, Outbox, new_producer
from connectors.upstream.reconciler import Reconciler
from connectors.upstream.settings import ConnectorSettings
from connectors.upstream.shared import Shared
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings
from schemas.topics import Topics
from tracing import OFF, Tracing

log = structlog.get_logger()

_C = TypeVar("_C", AIOKafkaConsumer, AIOKafkaProducer)

_FLUSH_SECONDS = 4.0
_SESSION_MS = 6_000
_HEARTBEAT_MS = 1_500


class Connector:
    """Watches what `watches` says, and tells on `upstream` what it saw."""

    def __init__(
        self, settings: ConnectorSettings, kafka: KafkaSettings, topics: Topics, tracing: Tracing = OFF
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._topics = topics
        self._tracing = tracing
        self._budget = Budget(settings)
        self._outbox: Outbox | None = None
        self._reconciler: Reconciler | None = None

    def not_ready(self) -> str | None:
        """None, or why not: starting, loading, a refused token, or a Kafka that takes nothing."""
        if self._outbox is None or self._reconciler is None:
            return "starts"
        return self._reconciler.not_ready() or self._outbox.trouble() or self._budget.refusal

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises StopProcess for what needs an operator."""
        try:
            await self._run(stop)
        except* StopProcess as group:
            needed = group
        else:
            return
        raise _first(needed)

    async def _run(self, stop: asyncio.Event) -> None:
        async with (
            _started(new_producer(self._kafka), self._kafka) as sending,
            _started(self._new_consumer(), self._kafka) as reading,
            UpstreamClient(self._settings, self._budget) as client,
        ):
            headers, bound = self._tracing.headers, self._settings.buffer_bytes
            outbox = self._outbox = Outbox(self._kafka, self._topics, bound, headers)
            async with asyncio.TaskGroup() as tasks:
                shared = Shared(self._settings, client, self._budget, outbox, random.random, tasks, self._tracing)
                sender = tasks.create_task(outbox.run(sending), name="outbox")
                fleet = Fleet(shared)
                self._reconciler = Reconciler(reading, self._topics.watches, fleet, outbox)
                reader = tasks.create_task(self._reconciler.run(), name="reconciler")
                measuring = tasks.create_task(fleet.measure(), name="measure")
                await stop.wait()
                reader.cancel()
                measuring.cancel()
                fleet.close()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_SECONDS):
                        await outbox.emptied()
                sender.cancel()

    def _new_consumer(self) -> AIOKafkaConsumer:
        return consumer(
            self._kafka,
            CLIENT_ID,
            self._topics.prefix + self._settings.group_id,
            group_instance_id=self._settings.group_instance_id,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
        )


@contextlib.asynccontextmanager
async def _started(client: _C, kafka: KafkaSettings) -> AsyncIterator[_C]:
    await connect(client, kafka)
    try:
        yield client
    finally:
        await close(client)


def _first(group: BaseExceptionGroup[StopProcess]) -> StopProcess:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, StopProcess)
    return found
