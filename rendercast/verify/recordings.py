"""Observations as a connector once told them: each line of `recordings.jsonl` is one file of one run of the demo.

Its upstream had every fault switched on. Times are seconds since the first observation; `outcome` and `url` are what
the simulator's own record says of the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files

import orjson

from schemas import Kind, Observation, Outcome
from schemas.codec import decode_observation, timestamp

RECORDED_FILE = "00000000-0000-4000-8000-000000000000"
_TIMES = ("observed_at", "since", "until")


@dataclass(frozen=True, slots=True)
class Recording:
    """One file's life as it was seen. `observations` is JSON, an array."""

    behaviour: str
    kind: Kind
    outcome: Outcome
    url: str | None
    observations: str

    def url_of(self, file_id: str) -> str | None:
        """The result's URL where the file is called `file_id`."""
        return self.url and self.url.replace(RECORDED_FILE, file_id)


@cache
def recordings() -> tuple[Recording, ...]:
    """All of them."""
    lines = (files("rendercast.verify") / "recordings.jsonl").read_bytes().splitlines()
    return tuple(
        Recording(**{**each, "observations": orjson.dumps(each["observations"]).decode()})
        for each in map(orjson.loads, lines)
    )


def replay(recording: Recording, file_id: str, generation: str, start: datetime) -> Iterator[Observation]:
    """The observations as if they were of this file, seen from `start` on."""
    for each in orjson.loads(recording.observations.replace(RECORDED_FILE, file_id)):
        times = {name: timestamp(start + timedelta(seconds=each[name])) for name in _TIMES if name in each}
        yield decode_observation(orjson.dumps({**each, **times, "file_id": file_id, "generation": generation}))
