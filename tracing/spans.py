"""What the rooms say of a job, and to whom. Nothing here knows OpenTelemetry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Literal, NamedTuple, Protocol

from schemas.headers import Describe, headers
from schemas.trace import SpanId, is_sampled, root_span

Attributes = Mapping[str, str | int | float | bool]
Kind = Literal["internal", "server", "producer", "consumer"]

NONE: Attributes = {}


class Event(NamedTuple):
    """A moment within a span."""

    name: str
    at: datetime
    attributes: Attributes = NONE


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it will be sent. `error` says why what was tried did not work."""

    id: SpanId
    parent: SpanId | None
    name: str
    start: datetime
    end: datetime
    kind: Kind
    attributes: Attributes
    events: Sequence[Event]
    link: SpanId | None
    error: str | None


class Job(Protocol):
    """Any record that knows its generation."""

    @property
    def file_id(self) -> str: ...

    @property
    def generation(self) -> str: ...


class Tracing:
    """Tells spans of sampled jobs to `put`, and which headers records get. Without `put` it is off."""

    def __init__(
        self, headers: Describe = headers, ratio: float = 0, put: Callable[[Span], None] | None = None
    ) -> None:
        self.is_on = put is not None
        self.headers = headers
        self._ratio = ratio
        self._put = put

    def traces(self, job: Job) -> bool:
        """Whether spans of this job are told: a ratio decides by its trace's id."""
        return self._put is not None and is_sampled(root_span(job.file_id, job.generation).trace, self._ratio)

    def span(
        self,
        job: Job,
        name: str,
        start: datetime,
        end: datetime,
        attributes: Attributes = NONE,
        *,
        kind: Kind = "internal",
        events: Sequence[Event] = (),
        link: SpanId | None = None,
        error: str | None = None,
        is_root: bool = False,
    ) -> None:
        """Tell a span below the job's root, or the root itself. Returns at once and raises nothing.

        `link` is a span of another trace that led to this one.
        """
        if self._put is None:
            return
        root = root_span(job.file_id, job.generation)
        if not is_sampled(root.trace, self._ratio):
            return
        named = {"rendercast.file_id": job.file_id, "rendercast.generation": job.generation, **attributes}
        own = root if is_root else SpanId(root.trace, token_bytes(8))
        other = link if link is not None and link.trace != root.trace else None
        parent = None if is_root else root
        self._put(Span(own, parent, name, start, max(start, end), kind, named, events, other, error))


OFF = Tracing()
"""Records get the very headers that they get without tracing: off costs nothing."""


def messaging(
    operation: Literal["send", "process"],
    topic: str,
    *,
    group: str | None = None,
    partition: int | None = None,
    offset: int | None = None,
) -> Attributes:
    """Attributes by OpenTelemetry's semantic conventions for Kafka."""
    told = {
        "messaging.system": "kafka",
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": topic,
        "messaging.consumer.group.name": group,
        "messaging.destination.partition.id": None if partition is None else str(partition),
        "messaging.kafka.offset": offset,
    }
    return {name: value for name, value in told.items() if value is not None}


def now() -> datetime:
    """The clock of spans, in microseconds: records' own cuts them to milliseconds."""
    return datetime.now(UTC)
