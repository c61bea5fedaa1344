"""Every metric that a process of ours shows, from the rooms' `metrics.py`."""

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

from faust.types import TP
from prometheus_client.core import Metric as Family
from prometheus_client.metrics import MetricWrapperBase

from connectors.chats import metrics as chats
from connectors.gateway import metrics as gateway
from connectors.storage import metrics as storage
from connectors.upstream import metrics as upstream
from streams import metrics as rules
from streams.exactly_once import metrics as engine
from streams.exactly_once.changelog import Progress
from streams.rows import Span
from tracing import metrics as tracing

ROOMS: dict[str, tuple[ModuleType, ...]] = {
    "processor": (rules, engine),
    "connector": (upstream,),
    "sink chats": (chats,),
    "sink storage": (storage,),
    "gateway": (gateway,),
    "tracing": (tracing,),
}
"""By the command that starts the process; `tracing` is of every process that traces."""

GENERATING = ("request_seconds", "budget_wait_seconds", "breaker", "token_refused")
"""Of the connector's room, what a gateway shows, too, that sends generate calls."""

_ENDINGS = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
    "stateset": ("",),
}
_UNITS = ("seconds", "bytes", "ratio", "records", "offsets", "jobs")


class Metric(NamedTuple):
    """`name` as it is scraped; of a histogram without its endings."""

    process: str
    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        """The base unit, which the name ends with; empty for a plain number."""
        words = self.name.removesuffix("_total").split("_")
        return next((unit for unit in _UNITS if words[-1] == unit), "")

    @property
    def series(self) -> dict[str, frozenset[str]]:
        """The names that can stand in an expression, with their labels."""
        labels = frozenset(self.labels)
        if self.type == "counter":
            return {self.name: labels}
        if self.type == "stateset":
            return {self.name: labels | {self.name}}
        return {
            self.name + ending: labels | ({"le"} if ending == "_bucket" else frozenset())
            for ending in _ENDINGS[self.type]
        }


class _Idle:
    """Lanes of a process that has just begun: what the engine's collector shows of them has every family."""

    loading = Progress()

    def lag(self) -> dict[TP, int]:
        return {}

    oldest = lag

    def rows(self) -> dict[int, int]:
        return {}

    def unfinished(self) -> list[Span]:
        return []


def metrics() -> list[Metric]:
    """Of all processes, in the order of their declaration."""
    return [each for process, rooms in ROOMS.items() for room in rooms for each in _of(process, room)]


def _of(process: str, room: ModuleType) -> Iterator[Metric]:
    for each in vars(room).values():
        if isinstance(each, MetricWrapperBase):
            [family] = each.describe()
            yield _metric(process, family, each._labelnames)  # noqa: SLF001 - it is told nowhere else
    if room is engine:
        yield from (_metric(process, family, _labels(family)) for family in _collected())


def _collected() -> Iterable[Family]:
    return engine.LanesCollector(_Idle()).collect()


def _labels(family: Family) -> Iterable[str]:
    return getattr(family, "_labelnames", ())


def _metric(process: str, family: Family, labels: Iterable[str]) -> Metric:
    name = family.name + ("_total" if family.type == "counter" else "")
    return Metric(process, name, family.type, tuple(labels), family.documentation.rstrip("."))


def series() -> dict[str, frozenset[str]]:
    """Every name that can stand in an expression, with its labels."""
    return {name: labels for each in metrics() for name, labels in each.series.items()}
