"""The documents of one partition, in memory: all of them as bytes, the ones touched last decoded as well."""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import orjson

from schemas import Job
from schemas.codec import decode_job
from schemas.errors import RejectRecord, StopProcess
from schemas.jobs import DOCUMENT_FORMAT

WARM_JOBS = 2_500
"""Decoded documents kept by default: the working set is the unfinished jobs; 3 KiB each."""


class Position(NamedTuple):
    """The last record applied of a source partition. Its time (milliseconds) tells the topic from one made anew."""

    offset: int
    timestamp: int

    def encode(self) -> bytes:
        return orjson.dumps(self._asdict())

    @classmethod
    def decode(cls, value: bytes) -> "Position":
        """Raises StopProcess."""
        try:
            found = orjson.loads(value)
            return cls(found["offset"], found["timestamp"])  # what a newer release tells beside is its own
        except (TypeError, ValueError, KeyError) as error:
            raise StopProcess(f"the positions topic is damaged, or another one: found {value[:80]!r}") from error


class Span(NamedTuple):
    """When an unfinished job was tracked, and when it is to end at the latest."""

    tracked_at: datetime
    deadline_at: datetime


class Rows:
    """What a partition's changelog says, and nothing else: changed only after the transaction that says so.

    `positions` are by source: whatever comes at or below one is a replay. `unfinished` is for the metrics.
    """

    __slots__ = ("_warm", "documents", "positions", "unfinished", "warm_limit")

    def __init__(
        self,
        documents: dict[bytes, bytes] | None = None,
        positions: dict[str, Position] | None = None,
        warm_limit: int = WARM_JOBS,
    ) -> None:
        self.documents = {} if documents is None else documents
        self.positions = {} if positions is None else positions
        self.unfinished = {key: span for key, document in self.documents.items() if (span := _span(key, document))}
        self.warm_limit = warm_limit
        self._warm: dict[bytes, Job] = {}

    def job(self, key: bytes) -> Job | None:
        """The decoded document. Raises StopProcess for one that this release must not overwrite."""
        job = self._warm.get(key)
        if job is None and (document := self.documents.get(key)) is not None:
            job = decode_document(key, document)
        return job

    def write(self, documents: Mapping[bytes, bytes | None], jobs: Mapping[bytes, Job | None]) -> None:
        """Take over changed documents (None: forgotten), and keep the jobs that were touched decoded."""
        for key, document in documents.items():
            if document is None:
                self.documents.pop(key, None)
            else:
                self.documents[key] = document
        warm, unfinished = self._warm, self.unfinished
        for key, job in jobs.items():
            warm.pop(key, None)
            if job is not None:
                warm[key] = job  # behind all others
            if job is None or job.finished_at is not None:
                unfinished.pop(key, None)
            else:
                unfinished[key] = Span(job.tracked_at, job.deadline_at)
        excess = len(warm) - self.warm_limit
        if excess > 0:
            for key in list(islice(warm, excess + self.warm_limit // 4)):  # several at a time: a dict's front is slow
                del warm[key]


_SPAN = re.compile(rb'"deadline_at":"([^"]+)","tracked_at":"([^"]+)"')


def _span(key: bytes, document: bytes) -> Span | None:
    """None of a job that has ended. Without decoding it: there are a million at a start. Raises StopProcess."""
    if document.rfind(b',"finished_at":"') >= 0 or (found := _SPAN.search(document)) is None:
        return None
    try:
        deadline_at, tracked_at = [datetime.fromisoformat(each.decode()) for each in found.groups()]
    except ValueError as error:
        raise _not_ours(key, error) from error
    return Span(tracked_at, deadline_at)


_HEAD, _END = b'{"file_id":"', ord("}")


def check_documents(topic: str, partition: int, documents: Mapping[bytes, bytes]) -> None:
    """Raises StopProcess at the first that is no document of ours under its own key.

    Of what the changelog says last: a bad record is mended by a tombstone, or by the document, behind it. A look at
    the first bytes only (`encode` writes the file id first), because there are a million at a start; a document is
    decoded, and checked whole, when its job is next touched.
    """
    for key, document in documents.items():
        if not (document.startswith(_HEAD + (key or b"?") + b'"') and document[-1] == _END):
            raise StopProcess(
                f"{topic}, partition {partition}, key {key!r}: expected the document of that file, found "
                f"{document[:80]!r}: the topic is damaged, or another one; nothing has been written"
            )


def decode_document(key: bytes, document: bytes) -> Job:
    """Raises StopProcess where it is not a document of ours, or one of a release that we cannot carry on from."""
    try:
        job = decode_job(document)
    except RejectRecord as error:
        raise _not_ours(key, error) from error
    if job.format > DOCUMENT_FORMAT:
        raise StopProcess(
            f"the document of {job.file_id} has format {job.format}; this release knows {DOCUMENT_FORMAT}: "
            "it is not overwritten; start the newer release"
        )
    return job


def _not_ours(key: bytes, error: Exception) -> StopProcess:
    return StopProcess(
        f"the document of {key.decode(errors='replace')} in the jobs topic is not one of ours ({error}): "
        "the topic is damaged, foreign, or was written by a newer release"
    )
