"""What every record has in common: frozen, tolerant of unknown fields, RFC 3339 times in UTC with milliseconds.

A record is validated once, where its bytes come in. From then on it is a plain frozen record: `Record.changed` and
`trusted` make new ones of values that are in records already, without validating them again. The classes are the one
definition of both.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, ParamSpec, Self, TypeVar, cast

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

P = ParamSpec("P")
R = TypeVar("R", bound="Record")

UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_UUID = re.compile(UUID_PATTERN)


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its hyphenated form. Nothing else may become a key or a part of an upstream URL."""
    return _UUID.fullmatch(text) is not None


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Of a Timestamp: far enough from the calendar's ends that deadlines can be added and zones be changed."""


def _to_utc_milliseconds(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"expected a time from {EARLIEST.year} to {LATEST.year}")
    return value.astimezone(UTC).replace(microsecond=value.microsecond // 1000 * 1000)


_OUR_FORM = len("2026-11-21T02:00:00.000Z")


def _timestamp(value: object, parse: ValidatorFunctionWrapHandler) -> datetime:
    """A time in the form that we write ourselves takes a third of the time of any other."""
    if type(value) is str and len(value) == _OUR_FORM and value[10] + value[-5] + value[-1] == "T.Z":
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = LATEST
        if EARLIEST.year <= found.year < LATEST.year and found.tzinfo is UTC:
            return found
    return _to_utc_milliseconds(parse(value))


FileId = Annotated[
    str,
    StringConstraints(pattern=UUID_PATTERN, to_lower=True),
    Field(description="The generated image or video. The record's key, too.", json_schema_extra={"format": "uuid"}),
]
"""One generated image or video, as a UUID in lower case: the key of every record."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
"""An id that others made and that is not ours to understand: request, project, user, chat, task."""

Generation = Annotated[Name, Field(description="Which generation of the file: one file can be generated again.")]
ProjectId = Annotated[Name, Field(description="The project the file belongs to.")]
UserId = Annotated[Name, Field(description="Whose it is.")]
TaskId = Annotated[Name, Field(description="The upstream's id of the newest step.")]
UpstreamGenerationId = Annotated[Name, Field(description="The upstream's own id of the generation.")]

Text = Annotated[str, StringConstraints(max_length=20_000)]

Url = Annotated[str, StringConstraints(pattern=r"^[hH][tT][tT][pP][sS]?://[^\s/]", max_length=4_000)]
"""A URL as the upstream wrote it, byte for byte (backslashes and all; see upstream.md): encode only to fetch."""

Timestamp = Annotated[AwareDatetime, WrapValidator(_timestamp)]
"""A moment, with a zone on the wire, in UTC and cut to milliseconds here."""

Int64 = Annotated[int, Field(le=2**63 - 1, json_schema_extra={"format": "int64"})]
"""What databases, other languages and our own encoder can hold: a larger number is refused where it comes in."""

Kind = Literal["image", "video", "audio", "other"]
Source = Literal["sse", "poll", "check"]
"""Which of the upstream's two voices told: the stream, a poll, or a poll that somebody asked for."""


class Record(BaseModel):
    """A record of one topic. Unknown fields are ignored: a newer writer may know more than this reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    unsaid: ClassVar[tuple[tuple[str, object], ...]] = ()
    """Fields that are left out on the wire where they have this value, which is their default."""

    def changed(self, values: Mapping[str, Any]) -> Self:
        """This record with other values, taken as they are."""
        return _assemble(type(self), {**self.__dict__, **values}, self.__pydantic_fields_set__)


def trusted(kind: Callable[P, R]) -> Callable[P, R]:
    """A constructor of the record class `kind` that takes values as they are: for what was validated before."""
    record = cast("type[R]", kind)
    defaults = {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in record.model_fields.items()
    }

    def make(*_: P.args, **values: P.kwargs) -> R:
        return _assemble(record, {**defaults, **values}, set(values))

    return make


_FIELDS, _NAMED, _EXTRA, _PRIVATE = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def _assemble(kind: type[R], fields: dict[str, Any], named: set[str]) -> R:
    record = kind.__new__(kind)
    _FIELDS(record, fields)
    _NAMED(record, named)
    _EXTRA(record, None)
    _PRIVATE(record, None)
    return record


class ChatRef(Record):
    """Where a result is to be shown. `chat_id` need not be a UUID: tool chats are called `video-generator-tool`."""

    chat_id: Name = Field(description="The chat; a UUID, or the name of a tool's chat.")
    message_id: Name | None = Field(default=None, description="The message that asked; where absent, one is made.")


def utcnow() -> datetime:
    """The clock of the edges, in the precision of the wire. The state machine never calls it."""
    return _to_utc_milliseconds(datetime.now(UTC))
