"""Letters, which of them are meant, and whether one can be sent again. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.base import EARLIEST, LATEST
from schemas.dead_letters import DeadLetter, Place
from schemas.topics import Topics

_CALL = re.compile(r"([./]).*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter where it lies. `at` is when it was buried."""

    place: Place
    at: datetime
    told: DeadLetter

    @classmethod
    def of(cls, record: Any) -> "Letter":
        return cls(
            Place(record.partition, record.offset),
            _moment(record.timestamp),
            DeadLetter.parse(record.headers, record.key, record.value),
        )

    @property
    def origin(self) -> str:
        return origin(self.told.topic, self.told.partition)


def origin(topic: str, partition: int) -> str:
    """Where a letter came from, without ids: what the upstream said has a channel or a call instead of a topic.

    `file.*` and `GET file/*` are all files.
    """
    return topic if partition >= 0 else _CALL.sub(r"\1*", topic)


def _moment(milliseconds: int) -> datetime:
    """A record's time is whatever its producer said."""
    earliest, latest = (int(each.timestamp() * 1000) for each in (EARLIEST, LATEST))
    return datetime.fromtimestamp(min(max(milliseconds, earliest), latest - 1) / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: those that every part of it admits; an empty part admits all."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    bys: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    places: frozenset[Place] = frozenset()

    def takes(self, letter: Letter) -> bool:
        told = letter.told
        return (
            (not self.reasons or told.reason in self.reasons)
            and (not self.topics or letter.origin in self.topics)
            and (not self.bys or told.by in self.bys)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (not self.places or letter.place in self.places)
        )


class Marks:
    """The places that are marked as replayed: some seventy bytes each, which is all that is held of a topic."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._offsets: dict[int, set[int]] = {}
        for each in places:
            self.add(each)

    def add(self, place: Place) -> None:
        self._offsets.setdefault(place.partition, set()).add(place.offset)

    def __contains__(self, place: Place) -> bool:
        return place.offset in self._offsets.get(place.partition, ())


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a letter: sent again, or left, and why."""

    letter: Letter
    why_not: str | None = None


def decide(letter: Letter, marks: Marks, topics: Topics, partitions: Mapping[str, int], *, again: bool) -> Decision:
    """`partitions` are the numbers of partitions of the topics that are there."""
    if letter.place in marks and not again:
        return Decision(letter, "replayed before (--again sends it once more)")
    return Decision(letter, _obstacle(letter.told, topics, partitions))


def _obstacle(told: DeadLetter, topics: Topics, partitions: Mapping[str, int]) -> str | None:
    """Why the record cannot be sent again as it came."""
    specs = {spec.name: spec for spec in topics.specs()}
    if told.topic not in specs or told.topic == topics.dead_letters:
        return "it came from no topic of ours"
    if specs[told.topic].cleanup == "compact":
        return "it came from a compacted topic, where the old record would replace a newer one"
    if not told.is_whole:
        return "too large: it was cut when it was buried"
    if not told.value:
        return "it had no value: there is nothing to send"
    if not 0 <= told.partition < partitions.get(told.topic, 0):
        return "the partition it came from is not there any more"
    return None
