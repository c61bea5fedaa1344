"""The forty jobs of the demo, and what is awkward about some of them."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from rendercast.simulator.jobs import Behaviour, Kind

DEADLINE_SECONDS = 75.0
SHORT_DEADLINE_SECONDS = 15.0
TOOL_CHATS: dict[Kind, str] = {"image": "image-generator-tool", "video": "video-generator-tool"}


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One generation to track. `again` makes a second generation of the same file when the first has ended."""

    kind: Kind
    behaviour: Behaviour
    chat_id: str
    project_id: str | None = None
    deadline_seconds: float = DEADLINE_SECONDS
    again: bool = False


def forty_jobs() -> list[PlannedJob]:
    """39 files, one of them generated twice: 40 jobs."""
    project = str(uuid4())

    def job(kind: Kind, behaviour: Behaviour = "plain", **fields: Any) -> PlannedJob:
        return PlannedJob(kind, behaviour, **{"chat_id": str(uuid4()), **fields})

    return [
        job("image", again=True),
        job("video", "never_ends", deadline_seconds=SHORT_DEADLINE_SECONDS),
        job("image", "never_ends", deadline_seconds=SHORT_DEADLINE_SECONDS),
        job("video", "tasks_done_no_url"),
        job("image", "tasks_done_no_url"),
        job("video", "fails"),
        job("image", "fails"),
        job("video", "bare_error"),
        *[job("video", project_id=project) for _ in range(6)],
        *[job("image", project_id=project) for _ in range(4)],
        *[job(kind, chat_id=TOOL_CHATS[kind]) for kind in TOOL_CHATS for _ in range(2)],
        *[job("video") for _ in range(9)],
        *[job("image") for _ in range(8)],
    ]


def number_of_jobs(plan: list[PlannedJob]) -> int:
    """Generations, not files."""
    return len(plan) + sum(each.again for each in plan)
