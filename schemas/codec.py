"""Records to bytes and back: JSON by orjson, checked by pydantic. A value that does not fit names the field."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.commands import Command
from schemas.errors import RejectRecord
from schemas.jobs import Job
from schemas.observations import Observation
from schemas.outputs import Artifact, Completion, StorageRequest, Stored, Watch

T = TypeVar("T")


def timestamp(value: datetime) -> str:
    """RFC 3339, UTC, milliseconds: `2026-11-21T02:00:00.000Z`. `value` is in UTC, as every Timestamp field is."""
    return value.isoformat(timespec="milliseconds")[:-6] + "Z"


def _wire(value: object) -> str:
    if isinstance(value, datetime):
        return timestamp(value)
    raise TypeError(f"not a value of our records: {value!r}")


def encode(record: BaseModel) -> bytes:
    """The record as JSON; fields without a value are left out."""
    return orjson.dumps(record.model_dump(exclude_none=True), default=_wire, option=orjson.OPT_PASSTHROUGH_DATETIME)


def explain(error: ValidationError, skip: int = 0) -> str:
    """What is wrong, field by field: `file_id: String should match pattern …`. `skip` drops a path's first parts."""
    return "; ".join(
        f"{'.'.join(str(part) for part in found['loc'][skip:]) or 'value'}: {found['msg']}"
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    )


class Decoder(Generic[T]):
    """Bytes of one topic to its records."""

    def __init__(self, shape: Any, *, tagged: bool = False) -> None:
        self._validate: Callable[[object], T] = TypeAdapter[T](shape).validate_python
        self._tag_parts = int(tagged)  # pydantic puts a union's tag before the field's name

    def __call__(self, value: bytes) -> T:
        """Raises RejectRecord with reason `not_json`, `unknown_type` (a newer writer's) or `invalid`."""
        try:
            return self._validate(orjson.loads(value))
        except orjson.JSONDecodeError as error:
            raise RejectRecord("not_json", f"value is not JSON: {error}") from error
        except ValidationError as error:
            is_new = any(found["type"] == "union_tag_invalid" for found in error.errors(include_url=False))
            raise RejectRecord("unknown_type" if is_new else "invalid", explain(error, self._tag_parts)) from error


decode_command: Decoder[Command] = Decoder(Command, tagged=True)
decode_observation: Decoder[Observation] = Decoder(Observation, tagged=True)
decode_job: Decoder[Job] = Decoder(Job)
decode_watch: Decoder[Watch] = Decoder(Watch)
decode_completion: Decoder[Completion] = Decoder(Completion)
decode_artifact: Decoder[Artifact] = Decoder(Artifact)
decode_storage_request: Decoder[StorageRequest] = Decoder(StorageRequest)
decode_stored: Decoder[Stored] = Decoder(Stored)
