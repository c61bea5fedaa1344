"""One step: the records that wait on a partition, applied to its rows. Pure; the lane makes a transaction of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from schemas import Artifact, Command, Completion, Job, Observation, Output, StorageRequest, Watch
from schemas.codec import decode_command, decode_observation, encode
from schemas.dead_letters import DeadLetter
from schemas.errors import RejectRecord
from schemas.headers import Describe, Headers, headers
from schemas.topics import Topics
from streams.machine import Forget, advance
from streams.outputs import EndWatch, Told
from streams.rows import Position, Rows


class SourceRecord(Protocol):
    """What is read of a consumed record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


NO_HEADERS: Headers = []


class Outgoing(NamedTuple):
    """A record to send; a value of None is a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Effects:
    """What a step causes: everything in `out` in one transaction, and the rest after it has committed."""

    documents: dict[bytes, bytes | None] = field(default_factory=dict)
    jobs: dict[bytes, Job | None] = field(default_factory=dict)  # every job that was looked at, as it is now
    positions: dict[str, Position] = field(default_factory=dict)  # by source
    out: list[Outgoing] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by (source of the event, verdict)
    dead_letters: Counter[str] = field(default_factory=Counter)  # by reason
    replays: int = 0

    def write_to(self, rows: Rows) -> None:
        rows.write(self.documents, self.jobs)
        rows.positions.update(self.positions)


Decode = Callable[[bytes], Command | Observation]


class Stepper:
    """Applies records of the source topics to rows; knows the topics' names and nothing of Kafka."""

    def __init__(self, topics: Topics, describe: Describe = headers) -> None:
        self._topics = topics
        self._headers = describe
        self._sources: dict[str, tuple[str, Decode]] = {
            topics.commands: ("commands", decode_command),
            topics.upstream: ("upstream", decode_observation),
        }
        self._homes: Mapping[type[Output], str] = {
            Watch: topics.watches,
            Completion: topics.completions,
            Artifact: topics.artifacts,
            StorageRequest: topics.storage,
        }

    def __call__(self, rows: Rows, records: Iterable[SourceRecord]) -> Effects:
        """Raises StopProcess for a document that this release must not overwrite."""
        effects = Effects()
        jobs, verdicts = effects.jobs, effects.verdicts
        applied = {source: position.offset for source, position in rows.positions.items()}
        last: dict[str, SourceRecord] = {}
        changed: dict[bytes, None] = {}  # in their order
        for record in records:
            source, decode = self._sources[record.topic]
            offset = record.offset
            if offset <= applied.get(source, -1):
                effects.replays += 1
                continue
            last[source] = record
            try:
                key, event = _read(record, decode)
            except RejectRecord as error:
                self._bury(effects, record, error)
                continue
            job = jobs[key] if key in jobs else rows.job(key)
            if job is not None and offset <= job.applied.get(source, -1):
                effects.replays += 1
                jobs[key] = job
                continue
            after, told, verdict = advance(job, event)
            if after is not job and after is not None:
                after = after.changed({"applied": {**(job.applied if job is not None else {}), source: offset}})
                changed[key] = None
            jobs[key] = after
            verdicts[getattr(event, "source", event.type), verdict] += 1
            if told:
                self._tell(effects, key, told)
        effects.positions = {source: Position(record.offset, record.timestamp) for source, record in last.items()}
        self._write(effects, changed, rows)
        return effects

    def forget(self, rows: Rows, keys: Iterable[bytes], before: datetime) -> Effects:
        """Drop the jobs that finished `before`. What comes again of them is a replay: the positions say so."""
        effects, event = Effects(), Forget(before)
        changed: dict[bytes, None] = {}
        for key in keys:
            job = rows.job(key)
            after, told, verdict = advance(job, event)
            if job is None or after is not None:
                continue
            changed[key] = None
            effects.jobs[key] = None
            effects.verdicts["retention", verdict] += 1
            self._tell(effects, key, told)
        self._write(effects, changed, rows)
        return effects

    def _bury(self, effects: Effects, record: SourceRecord, error: RejectRecord) -> None:
        letter = DeadLetter.of(record, error.reason, str(error), by="processor")
        effects.out.append(Outgoing(self._topics.dead_letters, letter.short_key(), letter.body(), letter.headers()))
        effects.dead_letters[error.reason] += 1

    def _tell(self, effects: Effects, key: bytes, told: Iterable[Told]) -> None:
        for each in told:
            if isinstance(each, EndWatch):
                effects.out.append(Outgoing(self._topics.watches, key, None, NO_HEADERS))
                continue
            effects.out.append(Outgoing(self._homes[type(each)], key, encode(each), self._headers(each)))
            if type(each) is Completion:
                effects.completions.append(each)

    def _write(self, effects: Effects, changed: Iterable[bytes], rows: Rows) -> None:
        """The documents first, and behind everything how far this is: so the state and its position are one."""
        documents = []
        for key in changed:
            job = effects.jobs[key]
            value = effects.documents[key] = None if job is None else encode(job)
            documents.append(Outgoing(self._topics.jobs, key, value, NO_HEADERS))
        effects.out[:0] = documents
        if effects.out:
            effects.out += [
                Outgoing(self._topics.positions, source.encode(), position.encode(), NO_HEADERS)
                for source, position in {**rows.positions, **effects.positions}.items()
            ]


def _read(record: SourceRecord, decode: Decode) -> tuple[bytes, Command | Observation]:
    if record.key is None:
        raise RejectRecord("no_key", "key: expected the file id, got none")
    if record.value is None:
        raise RejectRecord("no_value", "value: expected a JSON object, got a tombstone")
    event = decode(record.value)
    key = event.file_id.encode()
    if record.key != key:
        seen = record.key[:100]
        raise RejectRecord("wrong_key", f"key: expected the value's file_id {event.file_id}, got {seen!r}")
    return key, event
