"""One step: the records that wait on a partition, applied to its rows. Pure; the lane makes a transaction of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from schemas import Artifact, Command, Completion, Job, Observation, Output, StorageRequest, Watch
from schemas.codec import decode_command, decode_job, decode_observation, encode
from schemas.dead_letters import DeadLetter
from schemas.errors import RejectRecord, StopProcess
from schemas.headers import Headers, headers
from schemas.jobs import DOCUMENT_FORMAT
from schemas.topics import Topics
from streams.machine import advance
from streams.outputs import EndWatch, Told

Rows = dict[bytes, bytes]


class SourceRecord(Protocol):
    """What is read of a consumed record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Outgoing(NamedTuple):
    """A record to send; a value of None is a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Effects:
    """What a step causes: everything in `out` in one transaction, and `rows` after it has committed."""

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    out: list[Outgoing] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by (source of the event, verdict)
    dead_letters: Counter[str] = field(default_factory=Counter)  # by reason
    replays: int = 0

    def write_to(self, rows: Rows) -> None:
        for key, value in self.rows.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value


class Stepper:
    """Applies records of the source topics to rows; knows the topics' names and nothing of Kafka."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._roles = {topics.commands: "commands", topics.upstream: "upstream"}
        self._homes: Mapping[type[Output], str] = {
            Watch: topics.watches,
            Completion: topics.completions,
            Artifact: topics.artifacts,
            StorageRequest: topics.storage,
        }

    def __call__(self, rows: Rows, records: Iterable[SourceRecord]) -> Effects:
        """Raises StopProcess for a document that this release must not overwrite."""
        effects, jobs = Effects(), dict[bytes, Job | None]()
        changed: dict[bytes, Job | None] = {}
        for record in records:
            try:
                key, event = self._read(record)
            except RejectRecord as error:
                letter = DeadLetter.of(record, error.reason, str(error), by="processor")
                effects.out.append(
                    Outgoing(self._topics.dead_letters, letter.short_key(), letter.body(), letter.headers())
                )
                effects.dead_letters[error.reason] += 1
                continue
            job = jobs[key] if key in jobs else _document(rows.get(key), key)
            role = self._roles[record.topic]
            if job is not None and record.offset <= job.applied.get(role, -1):
                effects.replays += 1
                jobs[key] = job
                continue
            after, told, verdict = advance(job, event)
            if after is not job:
                if after is not None:
                    applied = {**(job.applied if job is not None else {}), role: record.offset}
                    after = after.model_copy(update={"applied": applied})
                changed[key] = after
            jobs[key] = after
            effects.verdicts[getattr(event, "source", event.type), verdict] += 1
            for each in told:
                effects.out.append(self._outgoing(key, each))
                if isinstance(each, Completion):
                    effects.completions.append(each)
        self._write(effects, changed)
        return effects

    def _read(self, record: SourceRecord) -> tuple[bytes, Command | Observation]:
        if record.key is None:
            raise RejectRecord("no_key", "key: expected the file id, got none")
        if record.value is None:
            raise RejectRecord("no_value", "value: expected a JSON object, got a tombstone")
        decode = decode_command if record.topic == self._topics.commands else decode_observation
        event: Command | Observation = decode(record.value)
        key = event.file_id.encode()
        if record.key != key:
            seen = record.key[:100]
            raise RejectRecord("wrong_key", f"key: expected the value's file_id {event.file_id}, got {seen!r}")
        return key, event

    def _outgoing(self, key: bytes, told: Told) -> Outgoing:
        if isinstance(told, EndWatch):
            return Outgoing(self._topics.watches, key, None, [])
        return Outgoing(self._homes[type(told)], key, encode(told), headers(told))

    def _write(self, effects: Effects, changed: Mapping[bytes, Job | None]) -> None:
        documents = []
        for key, job in changed.items():
            value = effects.rows[key] = None if job is None else encode(job)
            documents.append(Outgoing(self._topics.jobs, key, value, [] if job is None else headers(job)))
        effects.out[:0] = documents


def _document(row: bytes | None, key: bytes) -> Job | None:
    if row is None:
        return None
    try:
        job = decode_job(row)
    except RejectRecord as error:
        raise StopProcess(
            f"the document of {key.decode(errors='replace')} in the jobs topic is not one of ours ({error}): "
            "the topic is damaged, foreign, or was written by a newer release"
        ) from error
    if job.format > DOCUMENT_FORMAT:
        raise StopProcess(
            f"the document of {job.file_id} has format {job.format}; this release knows {DOCUMENT_FORMAT}: "
            "it is not overwritten; start the newer release"
        )
    return job
