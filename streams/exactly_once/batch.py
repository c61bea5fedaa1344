"""The event that Faust carries: one fetch of one partition, not one record."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from faust.types import TP


class RawRecord(Protocol):
    """aiokafka's ConsumerRecord, as far as it is read here. `timestamp` is in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Batch(NamedTuple):
    """What lies between two positions of the consumer: a batch begins where the last one of its partition ended.

    It can be without records: between the positions were only transaction markers, or records of aborted ones.
    """

    epoch: int
    """Counts rebalances: a batch fetched before one is void after it."""
    start: int
    end: int
    records: list[RawRecord]
    ends: Mapping[TP, int]
    """How far the source partitions of this number are known to reach; where that is unknown they are left out."""
