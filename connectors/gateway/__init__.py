"""Kafka → HTTP: REST, event streams, and a page to watch the jobs on."""
