"""What became of spans."""

from prometheus_client import Counter

SPANS = Counter(
    "rendercast_tracing_spans_total",
    "Spans: sent, dropped because too many waited, or failed because the endpoint did not take them",
    ["result"],
)
