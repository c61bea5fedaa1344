"""Topic `dead-letters`: key and value as they came; what was wrong and where they came from stands in the headers."""

from dataclasses import dataclass
from typing import Protocol

from schemas.headers import Headers

MAX_VALUE_BYTES = 900_000
MAX_KEY_BYTES = 1_000
"""Of what is larger only so much is kept: the broker's default limit of a record is 1 MiB."""


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

    @classmethod
    def of(cls, record: Incoming, reason: str, detail: str, by: str, attempts: int = 1) -> "DeadLetter":
        return cls(
            reason, detail, record.topic, record.partition, record.offset, by, record.key, record.value, attempts
        )

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
