"""Commands to Kafka. A command counts as given when the broker has it."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connectors.gateway import metrics
from connectors.gateway.spans import tell_sent
from connectors.kafka import close, connect, producer
from schemas import Cancel, Check, Track
from schemas.codec import encode
from schemas.errors import RetryLater
from schemas.settings import KafkaSettings
from tracing import OFF, Tracing, now

log = structlog.get_logger()

CLIENT_ID = "rendercast-gateway"
AnyCommand = Track | Check | Cancel


class Commands(Protocol):
    """Where the routes put commands."""

    async def send(self, command: AnyCommand, partition: int | None = None) -> None:
        """Returns when it is safe. Raises RetryLater when that cannot be said: it may still arrive.

        `partition` is where the job is; without one the key decides.
        """


class KafkaCommands:
    """Writes to the topic of commands, keyed by file id."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        timeout_seconds: float,
        make_producer: Callable[[KafkaSettings, str], AIOKafkaProducer] = producer,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._kafka, self._topic, self._timeout = kafka, topic, timeout_seconds
        self._make_producer = make_producer
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()

    async def start(self) -> None:
        """Raises StopProcess when no broker answers."""
        async with self._renewing:
            self._producer = await connect(self._make_producer(self._kafka, CLIENT_ID), self._kafka)

    async def stop(self) -> None:
        client, self._producer = self._producer, None
        if client is not None:
            await close(client)

    async def send(self, command: AnyCommand, partition: int | None = None) -> None:
        result, client, started = "unsure", None, now()
        try:
            async with asyncio.timeout(self._timeout):
                client = await self._working()
                await client.send_and_wait(
                    self._topic,
                    key=command.file_id.encode(),
                    value=encode(command),
                    headers=self._tracing.headers(command),
                    partition=partition,
                )
            result = "written"
        except TimeoutError as error:
            raise RetryLater(f"Kafka did not confirm the command within {self._timeout:g} seconds.") from error
        except KafkaError as error:
            log.warning("command not written", file_id=command.file_id, type=command.type, error=repr(error))
            if client is not None and client is self._producer and not error.retriable:
                # A producer that has failed for good fails for ever: the next command gets a new one.
                await self.stop()
            raise RetryLater("Kafka did not take the command.") from error
        finally:
            metrics.COMMANDS.labels(command.type, result).inc()
            tell_sent(self._tracing, self._topic, command, started, None if result == "written" else result)

    async def _working(self) -> AIOKafkaProducer:
        """The producer, or a new one in the place of one that failed for good."""
        async with self._renewing:
            if self._producer is None:
                fresh = self._make_producer(self._kafka, CLIENT_ID)
                try:
                    await fresh.start()
                except BaseException:
                    await close(fresh)
                    raise
                self._producer = fresh
            return self._producer
