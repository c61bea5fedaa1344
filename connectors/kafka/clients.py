"""aiokafka's clients with our settings; their errors in our words."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from brokers import arguments, no_broker, require_token
from schemas.errors import RetryLater, StopProcess
from schemas.settings import KafkaSettings

CLOSE_SECONDS = 2.0

C = TypeVar("C", AIOKafkaConsumer, AIOKafkaProducer)


def producer(kafka: KafkaSettings, client_id: str, **options: Any) -> AIOKafkaProducer:
    """An idempotent producer: a retry inside the client never writes a record twice."""
    return AIOKafkaProducer(
        **arguments(kafka),
        client_id=client_id,
        **{"enable_idempotence": True, "acks": "all", "linger_ms": 5, "retry_backoff_ms": 50, **options},
    )


def consumer(kafka: KafkaSettings, client_id: str, group_id: str | None, **options: Any) -> AIOKafkaConsumer:
    """A consumer that sees committed records only and never commits by itself."""
    return AIOKafkaConsumer(
        **arguments(kafka),
        client_id=client_id,
        group_id=group_id,
        **{
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": 100,
            **options,
        },
    )


async def connect(client: C, kafka: KafkaSettings) -> C:
    """Start the client. Raises StopProcess, with what the brokers say, when none lets it in in time."""
    try:
        async with asyncio.timeout(kafka.start_timeout_seconds):
            await require_token(kafka)
            await client.start()
    except (TimeoutError, KafkaError, OSError, StopProcess) as error:
        with contextlib.suppress(Exception):
            await client.stop()
        if isinstance(error, StopProcess):
            raise
        raise await no_broker(kafka) from error
    return client


async def close(client: AIOKafkaProducer | AIOKafkaConsumer, seconds: float = CLOSE_SECONDS) -> None:
    """Stop the client, within a time and whatever state Kafka is in.

    A consumer whose broker is away lets the cancellation of its own fetches out of `stop`: it is not ours.
    """
    task = asyncio.current_task()
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(seconds):
            try:
                await client.stop()
            except asyncio.CancelledError:
                if task is None or task.cancelling():
                    raise


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns aiokafka's errors into RetryLater, or StopProcess where only a new client, or an operator, can help."""
    try:
        yield
    except KafkaError as error:
        if error.retriable or isinstance(error, KafkaTimeoutError):
            raise RetryLater(f"Kafka: {error}", reason="kafka") from error
        raise StopProcess(f"Kafka: {error}") from error
