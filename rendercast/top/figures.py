"""What is counted, and how. No Kafka here."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from schemas import Completion, JobView

WINDOW = timedelta(minutes=5)
"""Outcomes are those of so long ago until now."""


@dataclass(frozen=True, slots=True)
class Figures:
    """At one moment. Rates are per second since the moment before; None where there was none."""

    at: datetime
    unfinished: Mapping[str, int]
    overdue: int
    oldest_seconds: float | None
    oldest_file: str | None
    outcomes: Mapping[str, int]
    won_by: Mapping[str, int]
    late: int
    lag: Mapping[str, int | None]
    rates: Mapping[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Unfinished:
    """The jobs that have not ended. Only these are held."""

    def __init__(self) -> None:
        self._jobs: dict[bytes, JobView] = {}

    def read(self, key: bytes, job: JobView | None) -> None:
        """A record of the topic of jobs; None is a tombstone."""
        if job is None or job.outcome is not None:
            self._jobs.pop(key, None)
        else:
            self._jobs[key] = job

    def by_status(self) -> Counter[str]:
        return Counter(each.status for each in self._jobs.values())

    def overdue(self, now: datetime) -> int:
        return sum(each.deadline_at < now for each in self._jobs.values())

    def oldest(self) -> JobView | None:
        return min(self._jobs.values(), key=lambda each: each.tracked_at, default=None)


@dataclass(slots=True)
class Outcomes:
    """Those of the last minutes."""

    _told: deque[Completion] = field(default_factory=deque)

    def read(self, completion: Completion) -> None:
        self._told.append(completion)

    def recent(self, now: datetime) -> list[Completion]:
        while self._told and self._told[0].finished_at < now - WINDOW:
            self._told.popleft()
        return [each for each in self._told if each.finished_at >= now - WINDOW]


@dataclass(slots=True)
class Rates:
    """How fast topics grow, by their ends at two moments."""

    _ends: Mapping[str, int] = field(default_factory=dict)
    _at: datetime | None = None

    def read(self, ends: Mapping[str, int], at: datetime) -> dict[str, float | None]:
        seconds = (at - self._at).total_seconds() if self._at else 0
        found = {
            topic: max(0, end - self._ends[topic]) / seconds if seconds > 0 and topic in self._ends else None
            for topic, end in ends.items()
        }
        self._ends, self._at = dict(ends), at
        return found
