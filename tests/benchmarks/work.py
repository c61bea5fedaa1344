"""The work that every engine does: real records of ours, made from a seed. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from schemas import Failure, Observation, Progress, Result, Snapshot, TaskChange, Track
from schemas.codec import encode
from schemas.headers import Headers, headers

OBSERVATIONS_PER_JOB = 20
GROWING = 8
"""Observations of a job that raise its progress; one more ends it, a few say so again, the rest are repeats or late."""

START = datetime(2026, 1, 1, tzinfo=UTC)


class Sent(NamedTuple):
    """A record as it goes to Kafka. `ends` marks the first one that ends its job."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """One Track for each job, then the observations of all of them, mixed."""

    tracks: list[Sent]
    observations: list[Sent]

    @property
    def jobs(self) -> int:
        return len(self.tracks)

    @property
    def events(self) -> int:
        return len(self.tracks) + len(self.observations)

    @property
    def mean_bytes(self) -> float:
        return sum(len(each.value) for each in self.observations) / len(self.observations)


def make(jobs: int, *, seed: int = 1, partitions: int = 4, at_once: int | None = None) -> Work:
    """`at_once`: how many jobs have observations at the same time; all of them, if None."""
    chance = random.Random(seed)
    tracks, scripts = [], []
    for number in range(jobs):
        track = _track(chance, number)
        tracks.append(_sent(track, number % partitions))
        scripts.append((number % partitions, _script(chance, track)))
    observations = [
        _sent(event, partition, ends=ends) for partition, (event, ends) in _mixed(chance, scripts, at_once or jobs)
    ]
    return Work(tracks, observations)


def _sent(record: Track | Observation, partition: int, *, ends: bool = False) -> Sent:
    return Sent(partition, record.file_id.encode(), encode(record), headers(record), ends)


_Event = tuple[Observation, bool]
_Script = tuple[int, list[_Event]]


def _mixed(chance: random.Random, scripts: list[_Script], at_once: int) -> Iterator[tuple[int, _Event]]:
    """The events of all scripts; those of one script stay in their order."""
    waiting = iter(scripts)
    live = [(partition, iter(events)) for (partition, events), _ in zip(waiting, range(at_once), strict=False)]
    while live:
        at = chance.randrange(len(live))
        partition, events = live[at]
        event = next(events, None)
        if event is not None:
            yield partition, event
        elif (following := next(waiting, None)) is not None:
            live[at] = (following[0], iter(following[1]))
        else:
            live[at] = live[-1]
            live.pop()


def _uuid(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))


def _track(chance: random.Random, number: int) -> Track:
    return Track(
        file_id=_uuid(chance),
        kind="video",
        request_id=f"video_{1_767_225_600_000 + number}_{chance.getrandbits(40):08x}",
        project_id=_uuid(chance),
        user_id=_uuid(chance),
        prompt="A paper boat drifts down a rain gutter, close to the water, early light",
        estimate_seconds=120,
        issued_at=START + timedelta(milliseconds=number),
    )


def _script(chance: random.Random, track: Track) -> list[_Event]:
    """Twenty observations of one job, in order."""
    scene = _Scene(chance, track)
    steps = [scene.progress(percent) for percent in sorted(chance.sample(range(1, 100), GROWING))]
    ends = [scene.failed() if chance.random() < 0.02 else scene.completed(by_stream=chance.random() < 0.6)]
    ends += [scene.again(ends[0]) for _ in range(chance.randint(1, 3))]
    script = [(step, False) for step in steps] + [(end, place == 0) for place, end in enumerate(ends)]
    while len(script) < OBSERVATIONS_PER_JOB:
        place = chance.randint(1, len(script))
        script.insert(place, (scene.repeat([event for event, _ in script[:place]]), False))
    times = [track.issued_at + timedelta(seconds=5 * place + chance.random()) for place in range(len(script))]
    return [
        (event.model_copy(update={"observed_at": _milliseconds(time)}), is_end)
        for (event, is_end), time in zip(script, times, strict=True)
    ]


def _milliseconds(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


class _Scene:
    """What the upstream says of one job."""

    def __init__(self, chance: random.Random, track: Track) -> None:
        self._chance = chance
        self._seen = {"file_id": track.file_id, "generation": track.request_id, "observed_at": START}
        self._task, self._upstream_generation = _uuid(chance), _uuid(chance)
        self._url = f"https://cdn.example.com/renders/2026/1/{track.file_id}/output.mp4"

    def progress(self, percent: int) -> Observation:
        return Progress(
            **self._seen, source="sse", progress=percent, estimate_seconds=120 - percent,
            message=f"Rendering frame {percent} of 100 (model ltx-video, queue eu-west-1)",
        )  # fmt: skip

    def completed(self, *, by_stream: bool) -> Observation:
        if by_stream:
            return Result(**self._seen, source="sse", url=self._url, kind="video")
        return self._snapshot("poll", "completed", url=self._url)

    def failed(self) -> Observation:
        return Failure(
            **self._seen, source="sse", reason="task_error", task_id=self._task,
            message="The model returned no frames (CUDA out of memory)",
        )  # fmt: skip

    def again(self, end: Observation) -> Observation:
        """The same end, as another voice tells it."""
        if isinstance(end, Failure):
            return TaskChange(**self._seen, source="sse", task_id=self._task, status="error", message=end.message)
        return self._snapshot(self._chance.choice(("poll", "check")), "completed", url=self._url)

    def repeat(self, before: list[Observation]) -> Observation:
        """Something that was said already, or says nothing new."""
        draw = self._chance.random()
        if draw < 0.1:
            return TaskChange(**self._seen, source="sse", task_id=self._task, status="in_progress")
        if draw < 0.2:
            return self._snapshot("poll", "in_progress")
        return self._chance.choice([each for each in before if isinstance(each, Progress)])

    def _snapshot(self, source: str, status: str, **more: str) -> Observation:
        return Snapshot(
            **self._seen, source=source, kind="video", task_id=self._task, task_status=status,
            upstream_generation_id=self._upstream_generation, **more,
        )  # fmt: skip
