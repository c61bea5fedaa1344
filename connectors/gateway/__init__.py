"""Kafka → HTTP: REST, event streams, and a page to watch the jobs on."""

from connectors.gateway.gateway import Gateway
from connectors.gateway.settings import GatewaySettings

__all__ = ["Gateway", "GatewaySettings"]
