"""What topic `stored` tells, as it counts now."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from rendercast.reading import Extent, records
from schemas import StorageRequest, Stored
from schemas.codec import decode_stored
from schemas.errors import RejectRecord
from schemas.settings import KafkaSettings

SKEW = timedelta(hours=1)
"""A record's time is its producer's. Reading from a time begins so much before it; what is in a record decides."""


@dataclass(slots=True)
class Progress:
    """How far reading is, in offsets."""

    offsets: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is none of ours."""

    place: str
    why: str


def name_of(request: StorageRequest) -> bytes:
    """File, generation and role in sixteen bytes: millions of them have to be remembered."""
    return blake2b(
        b"\0".join((request.file_id.encode(), request.generation.encode(), request.role.encode())), digest_size=16
    ).digest()


async def latest(
    kafka: KafkaSettings, what: Extent, progress: Progress, since: datetime | None = None
) -> AsyncGenerator[Stored | Unreadable]:
    """The last record of each file, generation and role that was stored since then.

    A partition is read twice: what is held is where the last records of one partition are, not what they say.
    """
    progress.of = what.offsets
    for number in what.partitions:
        part, before = what.of(number), progress.offsets
        last: dict[bytes, int] = {}
        async for record in records(kafka, part):
            found = _read(record)
            if isinstance(found, Stored):
                last[name_of(found)] = record.offset
        async for record in records(kafka, part):
            found = _read(record)
            if isinstance(found, Unreadable) or (
                last.get(name_of(found)) == record.offset and (since is None or found.stored_at >= since)
            ):
                progress.offsets = before + record.offset - min(part.begin.values())
                yield found
        progress.offsets = before + part.offsets


async def names(kafka: KafkaSettings, what: Extent) -> set[bytes]:
    """The names of all that has been stored."""
    found = set()
    async for record in records(kafka, what):
        stored = _read(record)
        if isinstance(stored, Stored):
            found.add(name_of(stored))
    return found


def _read(record: Any) -> Stored | Unreadable:
    try:
        return decode_stored(record.value or b"")
    except RejectRecord as error:
        return Unreadable(f"{record.topic} {record.partition}:{record.offset}", str(error))
