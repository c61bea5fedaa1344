"""One change of a job."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from connectors.gateway.channels import ALL
from schemas import Outcome, Status


@dataclass(frozen=True, slots=True)
class Change:
    """The job as one record of the topic left it. `seq` counts what this process has read, over all partitions.

    `body` is the job's public part as JSON, which does not name its `chats`; None means forgotten: the other fields are
    those it had before. `position` is how far this process had read then, packed; of what is told as it happens only.
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
    position: str = ""

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
