"""Reading the dead-letters topic."""

import heapq
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from aiokafka import TopicPartition

from rendercast.dead_letters.letters import Letter, Marks, Selection
from rendercast.dead_letters.words import line
from rendercast.reading import Extent, extent, records
from rendercast.settings import Settings
from schemas.dead_letters import Place, marked
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings

State = Literal["open", "replayed", "all"]


@dataclass(slots=True)
class Listing:
    """The newest of the letters found, oldest first, as `words.line` has them, and how many there are of each."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # reason, topic


async def where(settings: Settings, selection: Selection, *, with_open: bool = False) -> Extent:
    """What has to be read for a selection.

    It reaches from the first letter that may be meant to the topic's end: the mark of a letter lies behind it,
    in its own partition.
    """
    topic = settings.topics.names.dead_letters
    found = await extent(settings.kafka, [topic], since=selection.since, with_open=with_open)
    if not selection.places:
        return found
    first: dict[TopicPartition, int] = {}
    for place in selection.places:
        tp = TopicPartition(topic, place.partition)
        if tp in found.begin:
            first[tp] = max(found.begin[tp], min(place.offset, first.get(tp, place.offset)))
    return Extent(first, {tp: found.end[tp] for tp in first})


async def read_marks(kafka: KafkaSettings, what: Extent) -> Marks:
    """The letters that have been replayed."""
    found = Marks()
    async for record in records(kafka, what):
        place = marked(record.headers)
        if place is not None:
            found.add(place)
    return found


async def read_letters(kafka: KafkaSettings, what: Extent, selection: Selection) -> AsyncGenerator[Letter]:
    """The selected letters, in order within a partition."""
    async for record in records(kafka, what):
        if marked(record.headers) is None:
            letter = Letter.of(record)
            if selection.takes(letter):
                yield letter


async def select(settings: Settings, selection: Selection, state: State) -> AsyncGenerator[tuple[Letter, bool]]:
    """The selected letters in that state, and whether each was replayed.

    The topic is read twice: a letter's mark comes behind it.
    """
    what = await where(settings, selection)
    marks = await read_marks(settings.kafka, what)
    async for letter in read_letters(settings.kafka, what, selection):
        replayed = letter.place in marks
        if state == "all" or replayed == (state == "replayed"):
            yield letter, replayed


async def listing(settings: Settings, selection: Selection, state: State, limit: int) -> Listing:
    """The newest `limit` of them, and the counts of all."""
    found, newest = Listing(), list[tuple[datetime, int, dict[str, Any]]]()
    total = 0
    async for letter, replayed in select(settings, selection, state):
        total += 1
        found.counts[letter.told.reason, letter.origin] += 1
        row = (letter.at, total, line(letter, replayed=replayed))
        if len(newest) < limit:
            heapq.heappush(newest, row)
        else:
            heapq.heappushpop(newest, row)
    found.rows = [row for _, _, row in sorted(newest)]
    return found


async def look(settings: Settings, place: Place) -> tuple[Letter, list[datetime]]:
    """The letter at a place, and when it was replayed. Raises StopProcess where there is none."""
    what = await where(settings, Selection(places=frozenset([place])))
    found: Letter | None = None
    replays: list[datetime] = []
    async with aclosing(records(settings.kafka, what)) as read:
        async for record in read:
            of = marked(record.headers)
            if of == place:
                replays.append(Letter.of(record).at)
            elif of is None and record.offset == place.offset:
                found = Letter.of(record)
            elif found is None:
                break  # it would have been the first
    if found is None:
        raise StopProcess(f"there is no dead letter at {place}: it never was, or its time (30 days) is over")
    return found, replays
