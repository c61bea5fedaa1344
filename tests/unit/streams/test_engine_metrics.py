"""What a scrape of the engine shows."""

from types import SimpleNamespace

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from streams.exactly_once import metrics
from streams.exactly_once.changelog import Progress
from streams.exactly_once.exits import Ledger


@pytest.fixture
def registry(monkeypatch):
    registry = CollectorRegistry()
    monkeypatch.setattr(metrics, "REGISTRY", registry)
    return registry


def lanes(lag=(), rows=(), loading=None):
    state = SimpleNamespace(loading=loading or Progress())
    state.lag, state.rows = lambda: dict(lag), lambda: dict(rows)
    return state


def test_gauges_are_those_of_the_moment_of_the_scrape(registry, tmp_path):
    state = lanes()
    metrics.watch(state, Ledger(tmp_path))
    assert registry.get_sample_value("rendercast_processor_held_partitions") == 0
    state.lag = lambda: {TP("render.commands", 3): 0, TP("render.upstream", 3): 17}
    state.rows = lambda: {3: 1_000, 5: 0}
    value = registry.get_sample_value
    assert value("rendercast_processor_lag_offsets", {"topic": "render.upstream", "partition": "3"}) == 17
    assert value("rendercast_processor_lag_offsets", {"topic": "render.commands", "partition": "3"}) == 0
    assert value("rendercast_processor_rows", {"partition": "3"}) == 1_000
    assert value("rendercast_processor_held_partitions") == 2


@pytest.mark.parametrize(
    ("loading", "ratio"), [(Progress(), 1), (Progress(0, 8), 0), (Progress(6, 8), 0.75), (Progress(8, 8), 1)]
)
def test_recovery_tells_how_far_it_is(registry, tmp_path, loading, ratio):
    metrics.watch(lanes(loading=loading), Ledger(tmp_path))
    assert registry.get_sample_value("rendercast_processor_recovery_ratio") == ratio


def test_how_the_predecessors_ended_is_counted_from_the_start(registry, tmp_path):
    ledger = Ledger(tmp_path)
    for why in ("fenced", "fenced", "operator"):
        ledger.add(why)
    before = {why: metrics.ENDS.labels(why)._value.get() for why in ledger.counts()}
    metrics.watch(lanes(), ledger)
    grown = {why: metrics.ENDS.labels(why)._value.get() - times for why, times in before.items()}
    assert {why: times for why, times in grown.items() if times} == {"fenced": 2, "operator": 1}
