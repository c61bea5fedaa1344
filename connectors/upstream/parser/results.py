"""What goes into the parser beside the text, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from connectors.upstream.parser.reasons import Reason
from schemas.base import FileId, Kind, Name, Record, Source, is_uuid
from schemas.observations import Observation

Endpoint = Literal["file", "project", "generate-video", "generate-image"]
"""The calls whose answers can be read."""


@dataclass(frozen=True, slots=True)
class Channel:
    """An SSE channel. `id` is a UUID in lower case: a channel's name becomes part of an upstream URL."""

    kind: Literal["file", "project", "user"]
    id: str

    def __post_init__(self) -> None:
        if self.kind not in ("file", "project", "user") or not is_uuid(self.id):
            raise ValueError(f"not a channel (file, project or user, a dot and a UUID): {self.kind}.{self.id}")
        object.__setattr__(self, "id", self.id.lower())

    @classmethod
    def read(cls, text: str) -> "Channel":
        """`file.<uuid>` as a channel. Raises ValueError on anything else."""
        kind, _, found = text.partition(".")
        return cls(kind, found)  # type: ignore[arg-type]  # checked in __post_init__

    def __str__(self) -> str:
        return f"{self.kind}.{self.id}"


@dataclass(frozen=True, slots=True)
class Sight:
    """How and when something was seen (a time in the form of `utcnow`), and the generation of each watched file."""

    source: Source
    observed_at: datetime
    generations: Mapping[str, str] = field(default_factory=dict)

    def facts(self, file_id: str) -> dict[str, Any]:
        """The fields that every observation has."""
        return {
            "file_id": file_id,
            "source": self.source,
            "observed_at": self.observed_at,
            "generation": self.generations.get(file_id),
        }


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something well-formed that tells nothing we use. `type` is the frame's, as far as it is one we know."""

    reason: Reason
    type: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that cannot be read at all, with the bytes as they came."""

    reason: Reason
    value: bytes


class Generated(Record):
    """A file that a generate call has begun. `upstream_generation_id` names the run, never a project."""

    file_id: FileId
    project_id: Name | None = None
    upstream_generation_id: Name | None = None
    kind: Kind


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that a project names without its URL: it must be fetched."""

    file_id: str


class Parsed(NamedTuple):
    """All that one frame or answer said. `missing` are files to fetch."""

    observations: tuple[Observation, ...] = ()
    generated: tuple[Generated, ...] = ()
    missing: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    broken: tuple[Broken, ...] = ()
