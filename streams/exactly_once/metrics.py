"""Metrics of the engine."""

from prometheus_client import Counter, Gauge, Histogram

VOID_BATCHES = Counter(
    "rendercast_processor_void_batches_total", "Batches fetched before a rebalance and dropped after it"
)
REFETCHES = Counter("rendercast_processor_refetches_total", "Broken chains of positions: something was fetched again")
HOLES = Counter("rendercast_processor_holes_total", "Records that were gone (retention) before they were read")
MERGE_TIMEOUTS = Counter(
    "rendercast_processor_merge_timeouts_total", "Steps that no longer waited for another source topic's records"
)
RECOVERED_RECORDS = Counter("rendercast_processor_recovered_records_total", "Changelog records read at recovery")
HELD_PARTITIONS = Gauge("rendercast_processor_held_partitions", "Partitions this process holds")
REBALANCES = Counter("rendercast_processor_rebalances_total", "Assignments received")
STEP_RECORDS = Histogram(
    "rendercast_processor_step_records", "Records of one step", buckets=(1, 10, 100, 1_000, 4_000, 10_000)
)
TRANSACTION_SECONDS = Histogram(
    "rendercast_processor_transaction_seconds", "Begin to commit of one step's transaction",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20),
)  # fmt: skip
