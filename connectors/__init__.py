"""The edges: upstream API → Kafka, and Kafka → chats, object store, browsers."""
