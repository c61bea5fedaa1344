"""Topic `dead-letters`: key and value as they came; what was wrong and where they came from stands in the headers.

Between the letters stand marks: records without a value that say which letter was replayed, and when.
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from schemas.codec import timestamp
from schemas.headers import Headers

MAX_VALUE_BYTES = 900_000
MAX_KEY_BYTES = 1_000
"""Of what is larger only so much is kept: the broker's default limit of a record is 1 MiB."""

_NUMBER = re.compile(r"-?[0-9]{1,19}")
_PLACE = re.compile(r"([0-9]{1,9}):([0-9]{1,19})")


class Incoming(Protocol):
    """What both aiokafka's and Faust's raw records have."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that can never work. `by` is the process that gave up on it, after `attempts` tries."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    by: str
    key: bytes | None
    value: bytes | None
    attempts: int = 1
    truncated_from: int | None = None
    key_truncated_from: int | None = None

    @classmethod
    def of(cls, record: Incoming, reason: str, detail: str, by: str, attempts: int = 1) -> "DeadLetter":
        return cls(
            reason, detail, record.topic, record.partition, record.offset, by, record.key, record.value, attempts
        )

    @classmethod
    def parse(cls, headers: Iterable[tuple[str, bytes]], key: bytes | None, value: bytes | None) -> "DeadLetter":
        """The letter as the topic has it. Total: what a header does not tell is `unknown`, "" or -1."""
        said = {name: told.decode(errors="replace") for name, told in headers}
        return cls(
            reason=said.get("reason", "unknown"), detail=said.get("detail", ""), topic=said.get("topic", ""),
            partition=_number(said.get("partition"), -1), offset=_number(said.get("offset"), -1),
            by=said.get("by", "unknown"), key=key, value=value, attempts=_number(said.get("attempts"), 1),
            truncated_from=_number(said.get("truncated-from"), None),
            key_truncated_from=_number(said.get("key-truncated-from"), None),
        )  # fmt: skip

    @property
    def is_whole(self) -> bool:
        return self.truncated_from is None and self.key_truncated_from is None

    def headers(self) -> Headers:
        found = [
            ("reason", self.reason.encode()), ("detail", self.detail[:2_000].encode()), ("by", self.by.encode()),
            ("topic", self.topic.encode()), ("partition", b"%d" % self.partition), ("offset", b"%d" % self.offset),
            ("attempts", b"%d" % self.attempts),
        ]  # fmt: skip
        if len(self.value or b"") > MAX_VALUE_BYTES:
            found.append(("truncated-from", b"%d" % len(self.value or b"")))
        if len(self.key or b"") > MAX_KEY_BYTES:
            found.append(("key-truncated-from", b"%d" % len(self.key or b"")))
        return found

    def short_key(self) -> bytes | None:
        """The key to send it under."""
        return self.key[:MAX_KEY_BYTES] if self.key is not None else None

    def body(self) -> bytes | None:
        return self.value[:MAX_VALUE_BYTES] if self.value is not None else None


N = TypeVar("N", int, None)


def _number(text: str | None, otherwise: N) -> int | N:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else otherwise


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a letter lies on the topic: its name for people."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a place: expected partition:offset, such as 0:12")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Mark:
    """That a letter was replayed: written in the transaction that replays it, to the partition where the letter is."""

    of: Place
    at: datetime

    def key(self) -> bytes:
        return str(self.of).encode()

    def headers(self) -> Headers:
        return [("replay-of", self.key()), ("time", timestamp(self.at).encode())]


def marked(headers: Iterable[tuple[str, bytes]]) -> Place | None:
    """The letter that a record marks as replayed; None where the record is a letter itself."""
    for name, told in headers:
        if name == "replay-of":
            with contextlib.suppress(ValueError):
                return Place.parse(told.decode(errors="replace"))
    return None


def replayed_from(place: Place) -> Headers:
    """The headers of a letter's record that is sent again."""
    return [("replayed-from", str(place).encode())]
