"""Metrics of the engine: Faust's sensor counts single events, of which there are none here."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from faust.types import TP
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas import utcnow
from streams.exactly_once.changelog import Progress
from streams.exactly_once.exits import Ledger
from streams.rows import Span

VOID_BATCHES = Counter(
    "rendercast_processor_void_batches_total", "Batches fetched before a rebalance and dropped after it"
)
REFETCHES = Counter("rendercast_processor_refetches_total", "Broken chains of positions: something was fetched again")
HOLES = Counter("rendercast_processor_holes_total", "Records that were gone (retention) before they were read")
MERGE_TIMEOUTS = Counter(
    "rendercast_processor_merge_timeouts_total", "Steps that no longer waited for another source topic's records"
)
RECOVERED_RECORDS = Counter("rendercast_processor_recovered_records_total", "Changelog records read at recovery")
RECOVERY_SPEED = Gauge(
    "rendercast_processor_recovery_records_per_second", "Changelog records read per second at the last recovery"
)
ENDS = Counter("rendercast_processor_ends_total", "Ends of processes of this data directory, by reason", ["why"])
COMMIT_SECONDS = Histogram(
    "rendercast_processor_offsets_commit_seconds", "One commit of the group's offsets",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20),
)  # fmt: skip
REBALANCE_SECONDS = Histogram(
    "rendercast_processor_rebalance_seconds", "From the revocation of partitions to the first event after it",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600),
)  # fmt: skip
REBALANCES = Counter("rendercast_processor_rebalances_total", "Assignments received")
STEP_RECORDS = Histogram(
    "rendercast_processor_step_records", "Records of one step", buckets=(1, 10, 100, 1_000, 4_000, 10_000)
)
TRANSACTION_SECONDS = Histogram(
    "rendercast_processor_transaction_seconds", "Begin to commit of one step's transaction",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20),
)  # fmt: skip


class State(Protocol):
    """What is read at a scrape, from another thread."""

    loading: Progress

    def lag(self) -> dict[TP, int]: ...

    def oldest(self) -> dict[TP, int]: ...

    def unfinished(self) -> list[Span]: ...

    def rows(self) -> dict[int, int]: ...


class LanesCollector(Collector):
    """Gauges that are asked for when somebody scrapes, so that they cost nothing in between."""

    def __init__(self, lanes: State) -> None:
        self._lanes = lanes

    def collect(self) -> Iterable[Metric]:
        lag = GaugeMetricFamily(
            "rendercast_processor_lag_offsets",
            "Offsets known of and not committed in a step yet",
            labels=["topic", "partition"],
        )
        seconds = GaugeMetricFamily(
            "rendercast_processor_lag_seconds",
            "Age of the first record that is not committed in a step yet; 0 where there is none",
            labels=["topic", "partition"],
        )
        now, oldest = utcnow(), self._lanes.oldest()
        for tp, offsets in self._lanes.lag().items():
            lag.add_metric([tp.topic, str(tp.partition)], offsets)
            written = oldest.get(tp)
            age = 0 if written is None else max(0, now.timestamp() - written / 1000)
            seconds.add_metric([tp.topic, str(tp.partition)], age)
        rows = GaugeMetricFamily("rendercast_processor_rows", "Jobs remembered", labels=["partition"])
        held = self._lanes.rows()
        for number, count in held.items():
            rows.add_metric([str(number)], count)
        loading = self._lanes.loading
        yield from (
            lag,
            seconds,
            rows,
            *_of_jobs(self._lanes.unfinished(), now),
            GaugeMetricFamily("rendercast_processor_held_partitions", "Partitions this process holds", len(held)),
            GaugeMetricFamily(
                "rendercast_processor_recovery_ratio", "Of the changelog, how much has been read",
                loading.offsets / loading.of if loading.of else 1,
            ),
        )  # fmt: skip


def _of_jobs(unfinished: list[Span], now: datetime) -> Iterable[Metric]:
    oldest = min((span.tracked_at for span in unfinished), default=now)
    deadline = min((span.deadline_at for span in unfinished), default=now)
    yield GaugeMetricFamily(
        "rendercast_processor_unfinished_jobs", "Jobs of the partitions held that have not ended", len(unfinished)
    )
    yield GaugeMetricFamily(
        "rendercast_processor_oldest_unfinished_seconds", "Age of the oldest job that has not ended",
        max(0, (now - oldest).total_seconds()),
    )  # fmt: skip
    yield GaugeMetricFamily(
        "rendercast_processor_overdue_jobs", "Jobs past their deadline that have not ended",
        sum(span.deadline_at < now for span in unfinished),
    )  # fmt: skip
    yield GaugeMetricFamily(
        "rendercast_processor_longest_overdue_seconds", "How long an unfinished job has been past its deadline",
        max(0, (now - deadline).total_seconds()),
    )  # fmt: skip


def watch(lanes: State, ledger: Ledger) -> None:
    """Show this process's lanes, and how its predecessors ended."""
    REGISTRY.register(LanesCollector(lanes))
    for why, times in ledger.counts().items():
        ENDS.labels(why).inc(times)
