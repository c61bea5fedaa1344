"""What the rooms of `connectors` share: Kafka clients that fail clearly, and dead letters."""

from connectors.kafka.clients import close, connect, consumer, producer, translated
from connectors.kafka.dead_letters import send_dead_letter

__all__ = ["close", "connect", "consumer", "producer", "send_dead_letter", "translated"]
