"""A real Kafka for the demo and the tests."""
