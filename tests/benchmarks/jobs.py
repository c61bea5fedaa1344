"""The jobs of the requests' figure, from a seed. Pure; all times are simulated seconds."""

import random
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

DEADLINES = {"image": 420.0, "video": 900.0}
ARRIVAL_SECONDS = 900.0
_SECONDS = {"image": (20.0, 120.0), "video": (60.0, 600.0)}
_VIDEOS, _CHATS, _NEVER_END = 0.6, 0.5, 0.01
FILES_PER_PROJECT = 2


@dataclass(frozen=True, slots=True)
class Planned:
    """A job that begins at `at`. One of a chat has a project, one of a tool has none."""

    at: float
    file_id: str
    kind: Literal["image", "video"]
    seconds: float
    never_ends: bool
    project_id: str | None

    @property
    def deadline(self) -> float:
        return DEADLINES[self.kind]


def plan(jobs: int, seed: int = 1) -> list[Planned]:
    """Begun one after the other over `ARRIVAL_SECONDS`. The files of a project follow one another."""
    chance = random.Random(seed)
    found: list[Planned] = []
    project, files = None, 0
    for number in range(jobs):
        if files == 0:
            is_chat = chance.random() < _CHATS
            project, files = (_uuid(chance), FILES_PER_PROJECT) if is_chat else (None, 1)
        files -= 1
        kind: Literal["image", "video"] = "video" if chance.random() < _VIDEOS else "image"
        seconds, never_ends = chance.uniform(*_SECONDS[kind]), chance.random() < _NEVER_END
        found.append(Planned(number * ARRIVAL_SECONDS / jobs, _uuid(chance), kind, seconds, never_ends, project))
    return found


def _uuid(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))
