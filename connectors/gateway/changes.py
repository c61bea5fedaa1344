"""One change of a job, and the last few thousand of them."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from connectors.gateway.channels import ALL
from schemas import Outcome, Status


@dataclass(frozen=True, slots=True)
class Change:
    """The job as one record of the topic left it. `seq` counts what this process has read, over all partitions.

    `body` is the job's public part as JSON, which does not name its `chats`; None means forgotten: the other fields are
    those it had before.
    """

    seq: int
    partition: int
    offset: int
    file_id: str
    generation: str
    status: Status
    outcome: Outcome | None
    project_id: str | None
    user_id: str | None
    chats: tuple[str, ...]
    finished_at: datetime | None
    body: bytes | None

    def channels(self) -> Iterator[str]:
        """Every channel that tells of it."""
        yield f"file.{self.file_id}"
        if self.project_id is not None:
            yield f"project.{self.project_id}"
        if self.user_id is not None:
            yield f"user.{self.user_id}"
        for chat_id in self.chats:
            yield f"chat.{chat_id}"
        yield ALL

    def is_told_on(self, channels: Iterable[str]) -> bool:
        return any(each in channels for each in self.channels())

    def makes_obsolete(self, older: "Change") -> bool:
        """Whether a reader who gets this one misses nothing without the older one: an outcome is never skipped."""
        return (
            self.file_id == older.file_id
            and self.generation == older.generation
            and (older.outcome is None or (older.outcome == self.outcome and self.body is not None))
        )


class Recent:
    """The last changes in the order they were read, found by position or by file."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changes: deque[Change] = deque()
        self._at: dict[tuple[int, int], Change] = {}
        self._of_file: dict[str, deque[Change]] = {}

    def add(self, change: Change) -> None:
        if len(self._changes) == self._limit:
            self._drop_oldest()
        self._changes.append(change)
        self._at[change.partition, change.offset] = change
        self._of_file.setdefault(change.file_id, deque()).append(change)

    def _drop_oldest(self) -> None:
        oldest = self._changes.popleft()
        del self._at[oldest.partition, oldest.offset]
        of_file = self._of_file[oldest.file_id]
        of_file.popleft()
        if not of_file:
            del self._of_file[oldest.file_id]

    def at(self, partition: int, offset: int) -> Change | None:
        return self._at.get((partition, offset))

    def last(self) -> Change | None:
        return self._changes[-1] if self._changes else None

    def after(self, seq: int) -> Iterator[Change]:
        """What was read after `seq`, which must still be here or be the last one."""
        if self._changes:
            yield from islice(self._changes, max(0, seq + 1 - self._changes[0].seq), None)

    def of_file_after(self, file_id: str, seq: int) -> Iterator[Change]:
        return (each for each in self._of_file.get(file_id, ()) if each.seq > seq)
