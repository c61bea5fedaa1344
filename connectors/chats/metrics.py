"""What the chat sink counts."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("rendercast_chats_records_total", "Records that have landed or were buried", ["topic"])
REFUSED = Counter("rendercast_chats_refused_total", "Records that went to dead letters", ["reason"])
RETRIES = Counter("rendercast_chats_retries_total", "Batches given up and read again: a database or Kafka was away")
FENCED = Counter("rendercast_chats_fenced_total", "Batches rolled back because another process had moved the offsets")
LAG = Gauge("rendercast_chats_lag_records", "Records not yet in the database, of this process's partitions", ["topic"])
LAG_SECONDS = Gauge(
    "rendercast_chats_lag_seconds", "Age of the first record read and not yet in the database; 0 where there is none"
)
BATCH = Histogram(
    "rendercast_chats_batch_records",
    "Records in one transaction",
    buckets=(1, 5, 20, 50, 100, 250, 500, 1_000, 2_000, 10_000),
)
WRITE = Histogram(
    "rendercast_chats_write_seconds",
    "One transaction, from begin to commit",
    ["database"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
