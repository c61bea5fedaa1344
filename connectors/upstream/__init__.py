"""Upstream API → Kafka. `service.Connector` runs it; `parser` says what frames and answers mean."""
