"""What the gateway knows: the last document of every job that is unfinished or recently finished, and what changed.

No clock and no IO: times come with the calls.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from connectors.gateway.changes import Change, Recent
from connectors.gateway.channels import ALL
from schemas import JobView
from schemas.base import ChatRef
from schemas.codec import NOTHING, encode

Evicted = Literal["finished long ago", "too many, finished", "too many, unfinished"]


class ShownJob(JobView):
    """What the gateway reads of a document: what everybody may see, and the chats that are told of it."""

    chats: tuple[ChatRef, ...] = ()


class Found(NamedTuple):
    """The jobs asked for, at most as many as asked for, and how many there are."""

    jobs: list[Change]
    total: int


class View:
    """Bounded by `max_jobs` and by `finished_for`; `recent_changes` are held for readers that come back."""

    def __init__(self, max_jobs: int, finished_for: timedelta, recent_changes: int) -> None:
        self._max_jobs, self._finished_for = max_jobs, finished_for
        self.recent = Recent(recent_changes)
        self._seq = 0
        # Both in the order of their last change, oldest first.
        self._unfinished: dict[str, Change] = {}
        self._finished: dict[str, Change] = {}
        self._members: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._unfinished) + len(self._finished)

    def apply(self, partition: int, offset: int, file_id: str, job: ShownJob | None, now: datetime) -> Change | None:
        """Take one record. Returns the change to tell, or None where there is nothing: the job was not held anyway."""
        before = self._remove(file_id)
        if job is None:
            if before is None:
                return None
            change = replace(before, seq=self._seq, partition=partition, offset=offset, body=None)
        elif before is None and self._is_old(job.finished_at, now):
            return None
        else:
            change = Change(
                self._seq, partition, offset, file_id, job.generation, job.status, job.outcome, job.project_id,
                job.user_id, tuple(dict.fromkeys(each.chat_id for each in job.chats)), job.finished_at,
                encode(job.changed({"chats": NOTHING})),
            )  # fmt: skip
            self._put(change)
        self._seq += 1
        self.recent.add(change)
        return change

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

    def get(self, file_id: str) -> Change | None:
        return self._unfinished.get(file_id) or self._finished.get(file_id)

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
        files = dict.fromkeys(
            file_id
            for channel in channels
            for file_id in ([channel[5:]] if channel.startswith("file.") else self._members.get(channel, ()))
        )
        held = [change for file_id in files if (change := self.get(file_id)) is not None]
        yield from sorted(held, key=lambda each: (each.finished_at is not None, -each.seq))

    def evict(self, now: datetime) -> Iterator[Evicted]:
        """Let go of what need not be held any longer. Run it to its end; it yields one reason for each job."""
        for change in [each for each in self._finished.values() if self._is_old(each.finished_at, now)]:
            self._remove(change.file_id)
            yield "finished long ago"
        yield from self.shrink()

    def shrink(self) -> Iterator[Evicted]:
        """The same for the bound on their number alone: cheap, for calling after every record."""
        while len(self) > self._max_jobs:
            part: dict[str, Change] = self._finished or self._unfinished
            self._remove(next(iter(part)))
            yield "too many, finished" if part is self._finished else "too many, unfinished"

    def _is_old(self, finished_at: datetime | None, now: datetime) -> bool:
        return finished_at is not None and finished_at + self._finished_for <= now


def _groups(change: Change) -> Iterator[str]:
    return (each for each in change.channels() if each.startswith(("project.", "user.", "chat.")))
