"""The demo: the whole path on a real Kafka, against an upstream with its faults on, checked at the end."""
