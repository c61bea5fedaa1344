"""What the storage sink counts."""

from prometheus_client import Counter, Gauge, Histogram

OBJECTS = Counter(
    "rendercast_storage_objects_total",
    "Requests done, by how: copied, found, or replaced by a later request",
    ["how"],
)
CHECKS = Counter("rendercast_storage_checks_total", "Checks asked for, because a URL had expired")
BYTES = Counter("rendercast_storage_read_bytes_total", "Bytes read from the upstream")
REFUSED = Counter("rendercast_storage_refused_total", "Records that went to dead letters", ["reason"])
RETRIES = Counter("rendercast_storage_retries_total", "Tries that failed, the last ones too", ["reason"])
RESUMED = Counter("rendercast_storage_resumed_total", "Downloads that went on where they had been cut")
IN_FLIGHT = Gauge("rendercast_storage_in_flight", "Downloads at this moment")
OPEN = Gauge("rendercast_storage_open_records", "Records taken and not yet settled")
LAG = Gauge("rendercast_storage_lag_records", "Records not yet settled, of this process's partitions")
LAG_SECONDS = Gauge(
    "rendercast_storage_lag_seconds", "Age of the oldest record taken and not yet settled; 0 where there is none"
)
SECONDS = Histogram(
    "rendercast_storage_copy_seconds",
    "One copy, from the first look to the store's answer",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
