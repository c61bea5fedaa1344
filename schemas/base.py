"""What every record has in common: frozen, tolerant of unknown fields, RFC 3339 times in UTC with milliseconds."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

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


FileId = Annotated[str, StringConstraints(pattern=UUID_PATTERN, to_lower=True)]
"""One generated image or video, as a UUID in lower case: the key of every record."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
"""An id that others made and that is not ours to understand: request, project, user, chat, task."""

Text = Annotated[str, StringConstraints(max_length=20_000)]

Url = Annotated[str, StringConstraints(pattern=r"^[hH][tT][tT][pP][sS]?://[^\s/]", max_length=8_000)]
"""A URL as the upstream wrote it, byte for byte (backslashes and all; see upstream.md): encode only to fetch."""

Timestamp = Annotated[AwareDatetime, AfterValidator(_to_utc_milliseconds)]
"""A moment, with a zone on the wire, in UTC and cut to milliseconds here."""

Kind = Literal["image", "video", "audio", "other"]
Source = Literal["sse", "poll", "check"]
"""Which of the upstream's two voices told: the stream, a poll, or a poll that somebody asked for."""


class Record(BaseModel):
    """A record of one topic. Unknown fields are ignored: a newer writer may know more than this reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class ChatRef(Record):
    """Where a result is to be shown. `chat_id` need not be a UUID: tool chats are called `video-generator-tool`."""

    chat_id: Name
    message_id: Name | None = None


def utcnow() -> datetime:
    """The clock of the edges, in the precision of the wire. The state machine never calls it."""
    return _to_utc_milliseconds(datetime.now(UTC))
