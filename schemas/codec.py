"""Records to bytes and back: JSON by orjson, checked by pydantic. A value that does not fit names the field."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from schemas.base import Record
from schemas.commands import Command
from schemas.errors import RejectRecord
from schemas.jobs import Job, JobView
from schemas.observations import Observation
from schemas.outputs import Artifact, Completion, StorageRequest, Stored, Watch

T = TypeVar("T")


_SECONDS, _MILLISECONDS = len('"2026-11-21T02:00:00'), len('"2026-11-21T02:00:00.000')


def _quoted(value: datetime) -> bytes:
    """By way of orjson: a quarter of the cost of `isoformat`. It writes microseconds, or seconds where those are 0."""
    text = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return text[:_MILLISECONDS] + b'Z"' if len(text) > _MILLISECONDS else text[:_SECONDS] + b'.000Z"'


def timestamp(value: datetime) -> str:
    """RFC 3339, UTC, milliseconds: `2026-11-21T02:00:00.000Z`. `value` is in UTC, as every Timestamp field is."""
    return _quoted(value)[1:-1].decode()


NOTHING: tuple[()] = ()
"""There is one empty tuple in CPython. An empty list on the wire would mean the same as none."""


def _fields(record: Record) -> dict[str, object]:
    said = {name: value for name, value in record.__dict__.items() if value is not None and value is not NOTHING}
    for name, value in record.unsaid:
        if said[name] == value:
            del said[name]
    return said


def _wire(value: object) -> object:
    if isinstance(value, datetime):
        return orjson.Fragment(_quoted(value))
    if isinstance(value, Record):
        return _fields(value)
    raise TypeError(f"not a value of our records: {value!r}")


def encode(record: Record) -> bytes:
    """The record as JSON; fields without a value, and those that go without saying (`Record.unsaid`), are left out."""
    found = orjson.dumps(_fields(record), default=_wire, option=orjson.OPT_PASSTHROUGH_DATETIME)
    return b"".join((found, b""))  # a copy: orjson's own holds 4 KiB for as long as it is kept, however short it is


def explain(error: ValidationError, skip: int = 0) -> str:
    """What is wrong, field by field: `file_id: String should match pattern …`. `skip` drops a path's first parts."""
    return "; ".join(
        f"{'.'.join(str(part) for part in found['loc'][skip:]) or 'value'}: {found['msg']}"
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    )


_REASONS = {"json_invalid": "not_json", "union_tag_invalid": "unknown_type"}


NEW_WORDS: Mapping[str, object] = {"kind": "other", "reason": None, "won_by": None}
"""Fields that only describe, and what a reader takes for a word that a newer release has put there.

No status, outcome or role is ever guessed: these say what is to be done with a record.
"""


def _in_known_words(value: bytes, error: ValidationError) -> bytes | None:
    """The same record in words of this release; None where something else is wrong with it, too."""
    wrong = error.errors(include_url=False, include_context=False)
    names = [found["loc"][0] for found in wrong if len(found["loc"]) == 1]
    is_only_new = all(found["type"] == "literal_error" and type(found["input"]) is str for found in wrong)
    if not is_only_new or len(names) < len(wrong) or not NEW_WORDS.keys() >= set(names):
        return None
    return to_json({**from_json(value), **{str(name): NEW_WORDS[str(name)] for name in names}})


class Decoder(Generic[T]):
    """Bytes of one topic to its records. An `exact` one takes no new words: its reader writes back what it has read."""

    def __init__(self, shape: Any, *, tagged: bool = False, exact: bool = False) -> None:
        self._validate: Callable[[bytes], T] = TypeAdapter[T](shape).validator.validate_json
        self._tag_parts = int(tagged)  # pydantic puts a union's tag before the field's name
        self._exact = exact

    def __call__(self, value: bytes) -> T:
        """Raises RejectRecord with reason `not_json`, `unknown_type` (a newer writer's) or `invalid`."""
        try:
            return self._validate(value)
        except ValidationError as error:
            if not self._exact and (known := _in_known_words(value, error)) is not None:
                return self(known)
            kinds = {found["type"] for found in error.errors(include_url=False)}
            reason = next((name for kind, name in _REASONS.items() if kind in kinds), "invalid")
            raise RejectRecord(reason, explain(error, self._tag_parts)) from error


decode_command: Decoder[Command] = Decoder(Command, tagged=True)
decode_observation: Decoder[Observation] = Decoder(Observation, tagged=True)
decode_job: Decoder[Job] = Decoder(Job, exact=True)
decode_job_view: Decoder[JobView] = Decoder(JobView)
decode_watch: Decoder[Watch] = Decoder(Watch)
decode_completion: Decoder[Completion] = Decoder(Completion)
decode_artifact: Decoder[Artifact] = Decoder(Artifact)
decode_storage_request: Decoder[StorageRequest] = Decoder(StorageRequest)
decode_stored: Decoder[Stored] = Decoder(Stored)
