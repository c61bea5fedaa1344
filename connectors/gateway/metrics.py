"""The gateway's metrics."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("rendercast_gateway_requests_total", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "rendercast_gateway_request_seconds",
    "Time to the first byte of the answer.",
    ["route"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 10),
)
COMMANDS = Counter("rendercast_gateway_commands_total", "Commands written to Kafka.", ["type", "result"])
GENERATE_CALLS = Counter("rendercast_gateway_generate_calls_total", "Attempts to begin.", ["kind", "result"])
GENERATE_JOINED = Counter("rendercast_gateway_generate_joined_total", "Requests that joined an earlier one.")

STREAMS = Gauge("rendercast_gateway_streams", "Event streams open now.")
EVENTS_SENT = Counter("rendercast_gateway_events_sent_total", "Events written to streams.")
SLOW_READERS = Counter("rendercast_gateway_slow_readers_total", "Streams closed because nobody read them fast enough.")

JOBS = Gauge("rendercast_gateway_jobs", "Jobs held in memory.")
EVICTED = Counter("rendercast_gateway_jobs_evicted_total", "Jobs no longer held.", ["why"])
RECORDS = Counter("rendercast_gateway_job_records_total", "Records read from the topic of jobs.", ["result"])
FEED_LAG = Gauge("rendercast_gateway_feed_lag_records", "Offsets between the feed and the end of the topic of jobs.")
FEED_READ = Gauge("rendercast_gateway_feed_read_timestamp_seconds", "When the job read last was written.")
FEED_LIVE = Gauge("rendercast_gateway_feed_live", "1 when the jobs are read to the end and Kafka answers.")
FEED_RELOADS = Counter("rendercast_gateway_feed_reloads_total", "How often the jobs were read from the beginning.")
PAST_READS = Counter("rendercast_gateway_past_reads_total", "Kafka read for readers that come back.", ["result"])
