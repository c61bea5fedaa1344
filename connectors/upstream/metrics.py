"""The connector's metrics."""

from prometheus_client import Counter, Gauge, Histogram

WATCHES = Gauge("rendercast_upstream_watches", "Files being watched")
STREAMS = Gauge("rendercast_upstream_live_streams", "Event streams that are open")
OBSERVATIONS = Counter("rendercast_upstream_observations_total", "Observations made", ["type", "source"])
IGNORED = Counter("rendercast_upstream_ignored_total", "Frames and answers that told nothing we use", ["reason"])
BROKEN = Counter("rendercast_upstream_broken_total", "Frames and answers that could not be read", ["reason"])
LOOKS = Counter("rendercast_upstream_looks_total", "GETs of files by their reason and how they ended", ["why", "end"])
LOST = Counter("rendercast_upstream_lost_streams_total", "Streams that ended or could not be opened", ["cause"])
REQUEST_SECONDS = Histogram("rendercast_upstream_request_seconds", "Duration of the GETs of files")
REFUSED = Gauge("rendercast_upstream_token_refused", "1 while the upstream refuses the token")
BUFFER_BYTES = Gauge("rendercast_upstream_send_buffer_bytes", "Held for Kafka")
SEND_FAILURES = Counter("rendercast_upstream_send_failures_total", "Times Kafka did not take what was sent")
