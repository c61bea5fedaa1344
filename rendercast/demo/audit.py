"""Checking what came out against the simulator's own record of what went in."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from schemas import Completion, Stored

OUTCOMES = {"completed": "completed", "failed": "failed", "never": "timed_out"}


@dataclass(slots=True)
class Summary:
    """What the demo found; `problems` is empty when every promise was kept."""

    jobs: int = 0
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    upstream_reports: int = 0
    announced: int = 0
    lost: int = 0
    announced_twice: int = 0
    artifacts: int = 0
    stored: int = 0
    seconds: float = 0
    restarts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Expected:
    """One generation as the simulator ended it."""

    file_id: str
    generation: str
    outcome: str
    url: str
    sha256: str
    chat_id: str


def audit(
    expected: Iterable[Expected],
    completions: Iterable[Completion],
    artifacts: Mapping[tuple[str, str, str], int],
    stored: Iterable[Stored],
) -> Summary:
    """`artifacts` counts rows of completed artifacts by (chat, file, generation). Other files do not count."""
    expected, summary = list(expected), Summary()
    files = {each.file_id for each in expected}
    told = [each for each in completions if each.file_id in files]
    by_generation: dict[tuple[str, str], list[Completion]] = {}
    for each in told:
        by_generation.setdefault((each.file_id, each.generation), []).append(each)
    copies = {(each.file_id, each.generation): each for each in stored if each.role == "media"}
    twice = {each_id for each_id, times in Counter(each.id for each in told).items() if times > 1}
    summary.jobs, summary.announced, summary.announced_twice = len(expected), len(told), len(twice)
    for one in expected:
        name = f"{one.file_id} {one.generation}"
        found = by_generation.pop((one.file_id, one.generation), [])
        if not found:
            summary.lost += 1
            summary.problems.append(f"{name}: upstream ended it as {one.outcome}; nothing was announced")
            continue
        if len(found) > 1:
            summary.problems.append(f"{name}: announced {len(found)} times: {[each.outcome for each in found]}")
        outcome = found[-1].outcome
        if outcome != one.outcome:
            summary.problems.append(f"{name}: upstream ended it as {one.outcome}, announced was {outcome}")
        summary.completed += outcome == "completed"
        summary.failed += outcome == "failed"
        summary.timed_out += outcome == "timed_out"
        if one.outcome == "completed":
            _check_artifact(one, artifacts, summary)
            _check_copy(one, copies.get((one.file_id, one.generation)), summary)
    for file_id, generation in by_generation:
        summary.problems.append(f"{file_id} {generation}: announced, but never tracked")
    return summary


def _check_artifact(one: Expected, artifacts: Mapping[tuple[str, str, str], int], summary: Summary) -> None:
    rows = artifacts.get((one.chat_id, one.file_id, one.generation), 0)
    summary.artifacts += rows
    if rows != 1:
        summary.problems.append(f"{one.file_id} {one.generation}: {rows} artifacts in the chat database instead of 1")


def _check_copy(one: Expected, copy: Stored | None, summary: Summary) -> None:
    name = f"{one.file_id} {one.generation}"
    if copy is None:
        summary.problems.append(f"{name}: not in the object store")
        return
    path = Path(copy.location.removeprefix("file://"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
    if sha256 != one.sha256 or copy.url != one.url:
        summary.problems.append(f"{name}: the copy at {copy.location} has not the bytes of {one.url}")
        return
    summary.stored += 1
