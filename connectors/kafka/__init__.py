"""What the rooms of `connectors` share: Kafka clients that fail clearly, dead letters, and lag."""

from connectors.kafka.clients import close, connect, consumer, producer, translated
from connectors.kafka.dead_letters import send_dead_letter
from connectors.kafka.lag import age, behind

__all__ = ["age", "behind", "close", "connect", "consumer", "producer", "send_dead_letter", "translated"]
