"""Upstream API → Kafka: one watch per unfinished job, one stream per channel, one budget per host."""
