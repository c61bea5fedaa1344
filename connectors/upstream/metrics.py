"""The connector's metrics."""

from prometheus_client import Counter, Enum, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_MINUTES = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

# Streams.
STREAMS = Gauge("rendercast_upstream_streams", "Event streams by channel and state", ["channel", "state"])
CONNECTS = Counter("rendercast_upstream_connects_total", "Tries to open a stream, by how they ended", ["result"])
FIRST_BYTE_SECONDS = Histogram(
    "rendercast_upstream_first_byte_seconds", "From asking for a stream to its first byte", buckets=_SECONDS
)
LOST = Counter("rendercast_upstream_lost_streams_total", "Streams that had been open and ended, by cause", ["cause"])
MOVES = Counter("rendercast_upstream_moves_total", "Watches that moved to a stream of that channel", ["channel"])
GAP_SECONDS = Histogram(
    "rendercast_upstream_gap_seconds", "Time for which a watch was without a live stream", buckets=_MINUTES
)

# The three clocks; see policy.py.
RINGS = Counter("rendercast_upstream_clock_rings_total", "Times a clock rang: bytes, events, job", ["clock"])

# Watches and looks.
WATCHES = Gauge("rendercast_upstream_watches", "Files being watched")
LAG = Gauge("rendercast_upstream_lag_records", "Records of the watches not yet read, of this process's partitions")
LAG_SECONDS = Gauge(
    "rendercast_upstream_lag_seconds", "Age of the watch read last while there are more to read; 0 where all are read"
)
DEAD_LETTERS = Counter("rendercast_upstream_dead_letters_total", "Records that can never work", ["reason"])
OLDEST_SECONDS = Gauge("rendercast_upstream_oldest_watch_seconds", "Age of the oldest watch, since it was tracked")
WATCH_SECONDS = Histogram("rendercast_upstream_watch_seconds", "Age of watches when they ended", buckets=_MINUTES)
LOOKS = Counter("rendercast_upstream_looks_total", "GETs of files by their reason and how they ended", ["why", "end"])
POLLS_SAVED = Counter(
    "rendercast_upstream_polls_saved_total",
    "Polls not made because a stream was live: one per watch and longest poll distance",
)
WON = Counter("rendercast_upstream_urls_first_total", "First URLs of a watch, by who told", ["source"])
REPEATED = Counter("rendercast_upstream_urls_repeated_total", "URLs told again, by who told", ["source"])

# What was heard.
OBSERVATIONS = Counter("rendercast_upstream_observations_total", "Observations made", ["type", "source"])
IGNORED = Counter("rendercast_upstream_ignored_total", "Frames and answers that told nothing we use", ["reason"])
BROKEN = Counter("rendercast_upstream_broken_total", "Frames and answers that could not be read", ["reason"])

# The upstream as a host.
REQUEST_SECONDS = Histogram(
    "rendercast_upstream_request_seconds", "From sending a request to its answer", ["request"], buckets=_SECONDS
)
BUDGET_SECONDS = Histogram(
    "rendercast_upstream_budget_wait_seconds", "Time a request waited for its turn, by rank", ["rank"], buckets=_SECONDS
)
BREAKER = Enum(
    "rendercast_upstream_breaker", "The circuit breaker of the upstream", states=["closed", "open", "half_open"]
)
REFUSED = Gauge("rendercast_upstream_token_refused", "1 while the upstream refuses the token")

# Towards Kafka.
BUFFER_BYTES = Gauge("rendercast_upstream_send_buffer_bytes", "Held for Kafka")
SEND_FAILURES = Counter("rendercast_upstream_send_failures_total", "Times Kafka did not take what was sent")
ACKNOWLEDGED_SECONDS = Histogram(
    "rendercast_upstream_acknowledged_seconds", "From an observation to Kafka's yes, of each wave's oldest",
    buckets=_SECONDS,
)  # fmt: skip
