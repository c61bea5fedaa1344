"""What waits of one source partition, and the order in which two of them are read."""

from collections import deque
from collections.abc import Iterable, Sequence

from faust.types import EventT

from streams.exactly_once.batch import RawRecord

ALONE = float("inf")
"""No other queue has a record that could come first."""


class SourceQueue:
    """Batches of one partition in their order. `position` is how far they reach, `end` how far the partition does."""

    def __init__(self, position: int, end: int) -> None:
        self.position, self.end = position, end
        self._events: deque[EventT] = deque()
        self._unsettled: deque[EventT] = deque()  # those, and what is in the step in hand
        self._settled, self._heard = position, 0
        self._taken = 0  # of the first batch
        self._given_up_at = -1
        self.waiting = 0

    def put(self, event: EventT) -> None:
        self._events.append(event)
        self._unsettled.append(event)
        self.position = event.value.end
        if event.value.records:
            self._heard = event.value.records[-1].timestamp
        self.waiting += len(event.value.records)

    @property
    def is_behind(self) -> bool:
        """Nothing waits here, but more is known to come, and others still wait for it."""
        return not self.waiting and self.position < self.end and self.position != self._given_up_at

    def give_up(self) -> None:
        """Wait no longer for what should come, until something has come."""
        self._given_up_at = self.position

    @property
    def lag(self) -> int:
        """Offsets from the first batch that is not settled to the end."""
        return max(0, self.end - self._settled)

    @property
    def oldest(self) -> int | None:
        """When the first record that is not settled was written, in milliseconds; None where everything is.

        Of one that is known of and was not fetched yet, the time of the last record heard of, which is before it.
        """
        if not self.lag:
            return None
        waiting = next((event.value.records[0] for event in tuple(self._unsettled) if event.value.records), None)
        return (self._heard or None) if waiting is None else waiting.timestamp

    @property
    def timestamp(self) -> int:
        """Of the next record; only where one waits."""
        first: RawRecord = self._events[0].value.records[self._taken]
        return first.timestamp

    def settle(self) -> None:
        """The oldest batch has been applied and committed."""
        self._settled = self._unsettled.popleft().value.end

    def finished(self) -> list[EventT]:
        """Take off the batches of which every record has been taken, in order."""
        done = []
        while self._events and self._taken == len(self._events[0].value.records):
            done.append(self._events.popleft())
            self._taken = 0
        return done

    def take(self, until: float, most: int) -> list[RawRecord]:
        """The next records of the first batch that are not younger than `until`; at least one, at most `most`."""
        records: list[RawRecord] = self._events[0].value.records
        first = self._taken
        last = min(len(records), first + most)
        stop = last if until == ALONE else first + 1
        while stop < last and records[stop].timestamp <= until:
            stop += 1
        self._taken = stop
        self.waiting -= stop - first
        return records[first:stop]


def merge(queues: Sequence[SourceQueue], most: int) -> tuple[list[RawRecord], list[EventT]]:
    """Up to `most` records in the order of their timestamps, and the batches that are used up by them.

    A Track is written before the observations it leads to, but on another topic; a worker that comes back to a
    backlog of both has to read them side by side, or it would drop observations of files it has not heard of yet.
    So nothing is taken while one queue is behind. Of equal timestamps the first queue's (the commands) goes first.
    """
    records: list[RawRecord] = []
    finished = _finished(queues)
    while len(records) < most and not any(queue.is_behind for queue in queues):
        ready = sorted((queue.timestamp, order) for order, queue in enumerate(queues) if queue.waiting)
        if not ready:
            break
        first = ready[0][1]
        until = ready[1][0] - (ready[1][1] < first) if len(ready) > 1 else ALONE  # an earlier queue's equal goes first
        records += queues[first].take(until, most - len(records))
        finished += queues[first].finished()
    return records, finished


def _finished(queues: Iterable[SourceQueue]) -> list[EventT]:
    return [event for queue in queues for event in queue.finished()]
