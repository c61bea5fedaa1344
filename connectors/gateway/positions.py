"""How far a reader has been told: the next offset of every partition, also in a form short enough for an event id."""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping, Sequence
from sys import maxsize
from typing import NamedTuple

from connectors.gateway.changes import Change

MAX_CHARS = 1_000
"""Of a packed position. It stands in the id of every event, and comes back in a header or an address."""

_COUNT, _BASE, _WIDTH = 2, 6, 1


class Position(NamedTuple):
    """`others` is the offset of the partitions that `offsets` does not name."""

    offsets: Mapping[int, int]
    others: int = 0

    @classmethod
    def in_one(cls, partition: int, offset: int) -> "Position":
        """Where only one partition matters: nothing is missing of the others."""
        return cls({partition: offset}, maxsize)

    def of(self, partition: int) -> int:
        return self.offsets.get(partition, self.others)

    def behind(self, change: Change) -> bool:
        """Whether the change has not been told."""
        return change.offset >= self.of(change.partition)

    def at(self, offsets: Mapping[int, int]) -> "Position":
        """This one, moved on in the partitions of `offsets`."""
        return Position({**self.offsets, **offsets}, self.others)


def pack(offsets: Sequence[int]) -> str:
    """The smallest offset and, in as few bits as the largest one needs, what each is above it; "" where too long.

    Files are spread evenly over partitions, so their offsets are close to each other.
    """
    base = min(offsets, default=0)
    width = (max(offsets, default=0) - base).bit_length()
    size = (len(offsets) * width + 7) // 8
    if (_COUNT + _BASE + _WIDTH + size) * 4 > MAX_CHARS * 3:
        return ""
    bits = 0
    for each in reversed(offsets):
        bits = bits << width | each - base
    head = len(offsets).to_bytes(_COUNT, "big") + base.to_bytes(_BASE, "big") + width.to_bytes(_WIDTH, "big")
    return urlsafe_b64encode(head + bits.to_bytes(size, "big")).rstrip(b"=").decode()


def unpack(text: str) -> list[int] | None:
    """The offsets; None where the text is not a packed position."""
    try:
        packed = b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (Error, ValueError):
        return None
    head, body = packed[: _COUNT + _BASE + _WIDTH], packed[_COUNT + _BASE + _WIDTH :]
    if len(text) > MAX_CHARS or len(head) < _COUNT + _BASE + _WIDTH:
        return None
    count, base, width = (int.from_bytes(part, "big") for part in (head[:_COUNT], head[_COUNT:-_WIDTH], head[-_WIDTH:]))
    if len(body) != (count * width + 7) // 8 or width > 8 * _BASE:
        return None
    bits, mask = int.from_bytes(body, "big"), (1 << width) - 1
    return [base + (bits >> width * index & mask) for index in range(count)]
