"""What this process knows of the topic of jobs, partition by partition: how far it has read, and what it holds of that.

Every offset here is one past the last record that it speaks of, as positions are.
"""

from collections.abc import Mapping

from connectors.gateway.positions import Position, pack

Ranges = dict[int, tuple[int, int]]
"""From (included) and to (not included), by partition."""


class Reach:
    """The frontier, and the two lines behind it: up to `evicted` some jobs are in Kafka only, up to `lost` nowhere."""

    def __init__(self, lost: Mapping[int, int] | None = None) -> None:
        self.last: tuple[int, int] | None = None
        self._read: list[int] = []
        self._evicted: dict[int, int] = {}
        self._lost: dict[int, int] = dict(lost or {})
        self._packed: str | None = None

    @property
    def partitions(self) -> int:
        return len(self._read)

    def read(self, partition: int, offset: int) -> None:
        """One record has been read."""
        self.last = partition, offset
        self.passed({partition: offset + 1})

    def passed(self, offsets: Mapping[int, int]) -> None:
        """Where the consumer is: behind the last record there can be markers and aborted records, which nobody gets."""
        for partition, offset in offsets.items():
            self._read += [0] * (partition + 1 - len(self._read))
            if offset > self._read[partition]:
                self._read[partition] = offset
                self._packed = None

    def evicted(self, partition: int, offset: int) -> None:
        """The job of this record is held no longer."""
        self._evicted[partition] = max(self._evicted.get(partition, 0), offset + 1)

    def lost(self, partition: int, offset: int) -> None:
        """What this record did to its channels cannot be told by anybody any more."""
        self._lost[partition] = max(self._lost.get(partition, 0), offset + 1)

    def packed(self) -> str:
        """The position as event ids carry it: worked out once, for all readers."""
        if self._packed is None:
            self._packed = pack(self._read)
        return self._packed

    def pack(self, position: Position) -> str:
        return pack([position.of(each) for each in range(self.partitions)])

    def includes(self, position: Position) -> bool:
        """Whether this process has read as far as whoever made the position."""
        return all(
            offset <= (self._read[each] if each < len(self._read) else 0) for each, offset in position.offsets.items()
        )

    def has_lost(self, position: Position) -> bool:
        """Whether something that came after the position cannot be told."""
        return any(position.of(each) < offset for each, offset in self._lost.items())

    def evicted_since(self, position: Position) -> Ranges:
        """Where something that came after the position may be in Kafka only, up to where this process has read."""
        return {
            each: (position.of(each), self._read[each])
            for each, offset in self._evicted.items()
            if position.of(each) < offset
        }
