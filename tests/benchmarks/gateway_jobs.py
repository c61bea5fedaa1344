"""The jobs of the gateway's benchmarks, as the processor writes them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from benchmarks.work import Sent

from schemas import Job, utcnow
from schemas.codec import encode

PARTITIONS = 4
WARM, FED = "warm", "fed"
"""Lines of the feeder (`peers/gateway_feeder.py`)."""

_URL = "https://cdn.example.com/renders/2026/1/{}/output.mp4"


@dataclass(frozen=True, slots=True)
class Files:
    """`count` files; from number `alone` on each is of a project, with `together` files in each."""

    count: int
    alone: int
    together: int = 1

    def file_id(self, number: int) -> str:
        return str(UUID(int=number << 96, version=4))

    def project_id(self, number: int) -> str | None:
        return None if number < self.alone else f"project-{(number - self.alone) // self.together}"

    def readers(self) -> Iterator[tuple[str, list[str]]]:
        """Channel and files of one reader for each file: those alone by themselves, the others by their projects."""
        projects: dict[str, list[str]] = {}
        for number in range(self.alone, self.count):
            projects.setdefault(self.project_id(number) or "", []).append(self.file_id(number))
        for number in range(self.count):
            project = self.project_id(number)
            if project is None:
                yield f"file.{self.file_id(number)}", [self.file_id(number)]
            else:
                yield f"project.{project}", projects[project]


def job(files: Files, number: int, version: int, final: int, message: str, now: datetime | None = None) -> Sent:
    """The document of a file at a version: progress, and done at the final one."""
    file_id, is_done, now = files.file_id(number), version == final, now or utcnow()
    document = Job(
        file_id=file_id, generation=f"video_1767225600000_{number:08x}", version=version, kind="video",
        status="completed" if is_done else "processing", progress=100 if is_done else min(99, version),
        message=message, estimate_seconds=120, outcome="completed" if is_done else None,
        url=_URL.format(file_id) if is_done else None, won_by="sse" if is_done else None,
        project_id=files.project_id(number), user_id="user-7",
        prompt="A paper boat drifts down a rain gutter, close to the water, early light",
        deadline_at=now + timedelta(minutes=15), tracked_at=now, updated_at=now,
        finished_at=now if is_done else None, watching=not is_done, applied={"upstream": version},
    )  # fmt: skip
    return Sent(number % PARTITIONS, file_id.encode(), encode(document), [])


def begun(files: Files) -> Iterator[Sent]:
    """Every file at version 1."""
    return (job(files, number, 1, 0, "queued") for number in range(files.count))
