"""Server-sent events as bytes. Every document is JSON without line breaks, so one `data:` line holds it."""

from collections.abc import Iterable, Sequence

import orjson

from connectors.gateway.changes import Change
from connectors.gateway.resume import Gap
from connectors.gateway.view import Found


def _frame(event: str, data: bytes, event_id: str = "") -> bytes:
    return b"%sevent: %s\ndata: %s\n\n" % (_id_line(event_id), event.encode(), data)


def _id_line(event_id: str) -> bytes:
    return b"id: %s\n" % event_id.encode() if event_id else b""


def jobs_array(jobs: Iterable[Change]) -> bytes:
    """The documents as one JSON array."""
    return b"[%s]" % b",".join(each.body for each in jobs if each.body is not None)


def snapshot(channels: Sequence[str], found: Found, event_id: str) -> bytes:
    """The whole state of the channels: `jobs` is empty when none is known. The id is that of the moment."""
    head = orjson.dumps({"channels": channels, "total": found.total})[:-1]
    return _frame("snapshot", b'%s,"jobs":%s}' % (head, jobs_array(found.jobs)), event_id)


def job(change: Change, event_id: str) -> bytes:
    """One change: `job` with the document, or `gone` when the job is forgotten."""
    if change.body is None:
        return _frame("gone", orjson.dumps({"file_id": change.file_id}), event_id)
    return _frame("job", change.body, event_id)


def gap(reason: Gap) -> bytes:
    """What came before cannot be told; a snapshot follows."""
    return _frame("gap", orjson.dumps({"reason": reason}))


SLOW = _frame("slow", orjson.dumps({"reason": "events came faster than they were read; connect again"}))


def comment(text: str, event_id: str = "") -> bytes:
    """What readers ignore. With an id it moves their last event id on, without an event."""
    return b": %s\n%s\n" % (text.encode(), _id_line(event_id))


def retry(seconds: float) -> bytes:
    """How long a browser is to wait before it connects again."""
    return b"retry: %d\n\n" % (seconds * 1000)
