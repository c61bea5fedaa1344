"""Upstream API → Kafka: one watch per unfinished job, one stream per channel, one budget per host."""

from connectors.upstream.client import UpstreamClient
from connectors.upstream.service import Connector
from connectors.upstream.settings import ConnectorSettings

__all__ = ["Connector", "ConnectorSettings", "UpstreamClient"]
