"""What the gateway knows: the last document of every job that is unfinished or recently finished, and what changed.

No clock and no IO: times come with the calls.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from connectors.gateway.changes import Change
from connectors.gateway.channels import ALL
from connectors.gateway.positions import Position
from connectors.gateway.reach import Reach
from connectors.gateway.shown import ShownJob

Evicted = Literal["finished long ago", "too many, finished", "too many, unfinished"]


class Found(NamedTuple):
    """The jobs asked for, at most as many as asked for, and how many there are."""

    jobs: list[Change]
    total: int


class View:
    """Bounded by `max_jobs`, which also bounds the forgotten jobs that are held, and by `finished_for`."""

    def __init__(self, max_jobs: int, finished_for: timedelta, lost: Mapping[int, int] | None = None) -> None:
        """`lost`: up to where, in each partition, what has been may have left no trace."""
        self._max_jobs, self._finished_for = max_jobs, finished_for
        self.reach = Reach(lost)
        self._seq = 0
        # All in the order of their last change, oldest first.
        self._unfinished: dict[str, Change] = {}
        self._finished: dict[str, Change] = {}
        self._forgotten: dict[str, Change] = {}
        self._members: dict[str, dict[str, None]] = {}
        self._first_reading: _FirstReading | None = _FirstReading()

    def __len__(self) -> int:
        return len(self._unfinished) + len(self._finished)

    def apply(self, partition: int, offset: int, file_id: str, job: ShownJob | None, now: datetime) -> Change | None:
        """Take one record. Returns the change to tell, or None where there is nothing: the job was not held anyway."""
        before = self._remove(file_id)
        if job is None:
            if before is None:
                if self._first_reading:
                    self._first_reading.unexplained(partition, offset, file_id)
                return None
            change = replace(before, seq=self._seq, partition=partition, offset=offset, body=None)
            self._forgotten[file_id] = change
        else:
            self._forgotten.pop(file_id, None)
            if before is None and self._is_old(job.finished_at, now):
                self._not_held(partition, offset, file_id)
                return None
            change = job.change(self._seq, partition, offset)
            self._put(change)
        self._seq += 1
        return change

    def has_loaded(self) -> None:
        """The topic has been read to its end."""
        if self._first_reading:
            for partition, offset in self._first_reading.without_document():
                self.reach.lost(partition, offset)
        self._first_reading = None

    def _put(self, change: Change) -> None:
        (self._unfinished if change.finished_at is None else self._finished)[change.file_id] = change
        for channel in _groups(change):
            self._members.setdefault(channel, {})[change.file_id] = None

    def _remove(self, file_id: str) -> Change | None:
        change = self._unfinished.pop(file_id, None) or self._finished.pop(file_id, None)
        for channel in _groups(change) if change else ():
            members = self._members[channel]
            del members[file_id]
            if not members:
                del self._members[channel]
        return change

    def _not_held(self, partition: int, offset: int, file_id: str) -> None:
        self.reach.evicted(partition, offset)
        if self._first_reading:
            self._first_reading.document(file_id)

    def get(self, file_id: str) -> Change | None:
        return self._unfinished.get(file_id) or self._finished.get(file_id)

    def last_of(self, file_id: str) -> Change | None:
        """The last change of the file: also the one that forgot it."""
        return self.get(file_id) or self._forgotten.get(file_id)

    def find(self, channels: Iterable[str], limit: int, keep: Callable[[Change], bool] | None = None) -> Found:
        """The jobs of these channels: the unfinished ones first, each part by its last change, newest first."""
        jobs: list[Change] = []
        total = 0
        for change in self._of(tuple(channels)):
            if keep is None or keep(change):
                total += 1
                if total <= limit:
                    jobs.append(change)
        return Found(jobs, total)

    def _of(self, channels: tuple[str, ...]) -> Iterator[Change]:
        if ALL in channels:
            yield from reversed(self._unfinished.values())
            yield from reversed(self._finished.values())
            return
        files = dict.fromkeys(file_id for channel in channels for file_id in self._files_of(channel))
        held = [change for file_id in files if (change := self.get(file_id)) is not None]
        yield from sorted(held, key=lambda each: (each.finished_at is not None, -each.seq))

    def _files_of(self, channel: str) -> Iterable[str]:
        """The file that changed last comes first."""
        return [channel[5:]] if channel.startswith("file.") else reversed(self._members.get(channel, {}))

    def since(self, channels: tuple[str, ...], position: Position, limit: int) -> list[Change] | None:
        """The last change of each job of these channels that changed after the position, oldest first.

        None where there are more than `limit`. What is not held (`reach`) is not among them.
        """
        found: dict[str, Change] = {}
        for part in self._newest_first(channels):
            told_up_to = set()
            for change in part:
                if position.behind(change):
                    if change.is_told_on(channels):
                        found[change.file_id] = change
                        if len(found) > limit:
                            return None
                else:  # and so is everything older of this partition
                    told_up_to.add(change.partition)
                    if len(told_up_to) == self.reach.partitions:
                        break
        return sorted(found.values(), key=lambda each: each.seq)

    def _newest_first(self, channels: tuple[str, ...]) -> Iterator[Iterable[Change]]:
        yield reversed(self._forgotten.values())
        if ALL in channels:
            yield reversed(self._unfinished.values())
            yield reversed(self._finished.values())
            return
        for channel in channels:
            yield (change for file_id in self._files_of(channel) if (change := self.get(file_id)) is not None)

    def evict(self, now: datetime) -> Iterator[Evicted]:
        """Let go of what need not be held any longer. Run it to its end; it yields one reason for each job."""
        for change in [each for each in self._finished.values() if self._is_old(each.finished_at, now)]:
            self._let_go(change)
            yield "finished long ago"
        yield from self.shrink()

    def shrink(self) -> Iterator[Evicted]:
        """The same for the bound on their number alone: cheap, for calling after every record."""
        while len(self) > self._max_jobs:
            part: dict[str, Change] = self._finished or self._unfinished
            self._let_go(next(iter(part.values())))
            yield "too many, finished" if part is self._finished else "too many, unfinished"
        while len(self._forgotten) > self._max_jobs:
            change = self._forgotten.pop(next(iter(self._forgotten)))
            self.reach.lost(change.partition, change.offset)

    def _let_go(self, change: Change) -> None:
        self._remove(change.file_id)
        self._not_held(change.partition, change.offset, change.file_id)

    def _is_old(self, finished_at: datetime | None, now: datetime) -> bool:
        return finished_at is not None and finished_at + self._finished_for <= now


class _FirstReading:
    """While the topic is read from its beginning: which tombstones stand without the document that they removed.

    Of whom those are to be told went with the document, when Kafka compacted the topic. Of a document only a hash is
    kept, which is 8 bytes.
    """

    def __init__(self) -> None:
        self._documents = array("q")
        self._unexplained: list[tuple[int, int, int]] = []

    def document(self, file_id: str) -> None:
        """It was there, and is not held."""
        self._documents.append(hash(file_id))

    def unexplained(self, partition: int, offset: int, file_id: str) -> None:
        self._unexplained.append((hash(file_id), partition, offset))

    def without_document(self) -> list[tuple[int, int]]:
        files = {file for file, _, _ in self._unexplained}
        files.difference_update(self._documents)
        return [(partition, offset) for file, partition, offset in self._unexplained if file in files]


def _groups(change: Change) -> Iterator[str]:
    return (each for each in change.channels() if each.startswith(("project.", "user.", "chat.")))
