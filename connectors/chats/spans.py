"""What the chat sink tells of its jobs' traces, once a database has committed."""

from collections.abc import Iterable
from datetime import datetime

from connectors.chats.rows import Entry
from schemas import Artifact
from tracing import Tracing, messaging, now


def tell_written(tracing: Tracing, database: str, entries: Iterable[Entry], started: datetime) -> None:
    """A span for each end that is shown and for each copy. Progress has none: a job would have a hundred."""
    ended = now()
    for entry in entries:
        record, source = entry.record, entry.source
        if record is None or (isinstance(record, Artifact) and record.outcome is None):
            continue
        what = "artifact" if isinstance(record, Artifact) else "copy"
        place = messaging("process", source.topic, partition=source.partition, offset=source.offset)
        tracing.span(record, f"write {what}", started, ended, {**place, "rendercast.store": database}, kind="consumer")
