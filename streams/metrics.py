"""Metrics of the processor's rules. The engine's stand in `streams.exactly_once.metrics`."""

import functools

from prometheus_client import Counter, Histogram

EVENTS = Counter(
    "rendercast_processor_events_total", "Events applied, by what told and what came of it", ["source", "verdict"]
)
events = functools.cache(EVENTS.labels)
OUTCOMES = Counter("rendercast_processor_outcomes_total", "Outcomes announced", ["outcome", "source", "late"])
REPLAYS = Counter("rendercast_processor_replays_total", "Events skipped because the job's document has them already")
DEAD_LETTERS = Counter("rendercast_processor_dead_letters_total", "Records that can never work", ["reason"])
outcomes = functools.cache(OUTCOMES.labels)
ANNOUNCED_SECONDS = Histogram(
    "rendercast_processor_announced_seconds",
    "From what ended a job, as the upstream was seen to tell it, to the commit of its outcome", ["source"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
announced = functools.cache(ANNOUNCED_SECONDS.labels)
JOB_SECONDS = Histogram(
    "rendercast_processor_job_seconds", "From Track to outcome", ["outcome"],
    buckets=(1, 5, 15, 30, 60, 120, 240, 420, 600, 900, 1_800),
)  # fmt: skip
jobs = functools.cache(JOB_SECONDS.labels)
