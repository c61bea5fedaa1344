"""Event ids, and what a reader has missed since one.

An id is `partition:offset`, the place of the change in the topic of jobs, and a mark of the topic and the channels. On
the channel of one file that says all. Other channels are spread over partitions, which each gateway reads in an order
of its own: there the id goes on with the position in all of them. So an id means the same at every gateway, and what
was missed is every job of the channels whose last change is past the position.
"""

import asyncio
import re
from base64 import urlsafe_b64encode
from hashlib import blake2s
from typing import Literal

from connectors.gateway.changes import Change
from connectors.gateway.channels import file_of
from connectors.gateway.past import Gathered, Past
from connectors.gateway.positions import Position, unpack
from connectors.gateway.subscriber import Subscriber
from connectors.gateway.view import View

Gap = Literal["malformed", "unknown", "too far back"]

_ID = re.compile(r"([0-9]{1,9}):([0-9]{1,15})\.([A-Za-z0-9_-]{8})([A-Za-z0-9_-]*)")


class Ids:
    """The ids of these channels. `topic` changes when the topic is made anew."""

    def __init__(self, topic: str, channels: tuple[str, ...]) -> None:
        text = "\n".join((topic, *sorted(channels)))
        self.mark = urlsafe_b64encode(blake2s(text.encode(), digest_size=6).digest()).decode()
        self._of_one_file = file_of(channels) is not None

    def at(self, partition: int, offset: int, position: str) -> str:
        """The id that says: all up to the record of this place, and up to the packed position, has been told."""
        return f"{partition}:{offset}.{self.mark}{'' if self._of_one_file else position}"

    def of(self, change: Change) -> str:
        """The id of a change that is told as it happens."""
        return self.at(change.partition, change.offset, change.position)

    def read(self, last_event_id: str) -> Position | Gap:
        """How far a reader has been told that comes back with this id."""
        found = _ID.fullmatch(last_event_id)
        if not found:
            return "malformed"
        partition, offset = int(found[1]), int(found[2])
        if found[3] != self.mark:
            return "unknown"
        if self._of_one_file:
            return "malformed" if found[4] else Position.in_one(partition, offset + 1)
        if not found[4]:  # there are too many partitions for an id
            return "unknown"
        offsets = unpack(found[4])
        if offsets is None or partition >= len(offsets) or offsets[partition] <= offset:
            return "malformed"
        return Position(dict(enumerate(offsets)))


async def missed(
    view: View, subscriber: Subscriber, position: Position, past: Past, seconds: float, limit: int
) -> list[Change] | Gap:
    """The last change of each job of the subscriber's channels that changed after the position; at most `limit`.

    Sorted so that within each partition the older comes first. True when it returns: whoever follows the channels
    before anything else happens misses nothing and hears nothing twice.
    """
    channels = subscriber.channels
    try:
        async with asyncio.timeout(seconds):
            # Another gateway was ahead of this one. What it told comes here, too, and must not be told again.
            while not view.reach.includes(position) and not subscriber.ended:
                await subscriber.wait(seconds)
            file_id = file_of(channels)
            last = view.last_of(file_id) if file_id else None
            if last is not None:  # so nothing can be missing, whatever is lost
                return _of_file(last, position)
            gathered = await _from_kafka(view, subscriber, position, past, limit)
    except TimeoutError:
        return "too far back" if view.reach.includes(position) else "unknown"
    if gathered is None or view.reach.has_lost(position):
        return "too far back"
    held = view.since(channels, position, limit)
    if held is None:
        return "too far back"
    evicted = [each for each in gathered.changes.values() if view.last_of(each.file_id) is None]
    if len(held) + len(evicted) > limit:
        return "too far back"
    return sorted(held + evicted, key=lambda each: (each.partition, each.offset)) if evicted else held


def _of_file(last: Change, position: Position) -> list[Change] | Gap:
    if last.partition not in position.offsets:
        return "unknown"
    return [last] if position.behind(last) else []


async def _from_kafka(
    view: View, subscriber: Subscriber, position: Position, past: Past, limit: int
) -> Gathered | None:
    """The changes of jobs that are no longer held; None where they cannot be had within the bounds."""
    gathered = Gathered(subscriber.channels, limit)
    while not view.reach.has_lost(position) and (ranges := view.reach.evicted_since(position)):
        if subscriber.ended or not await past.read(ranges, gathered):
            return None
        # Meanwhile others may have been evicted that changed after what has been read: on from there.
        position = position.at({each: end for each, (_, end) in ranges.items()})
    return gathered
