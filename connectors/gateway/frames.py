"""Server-sent events as bytes. Every document is JSON without line breaks, so one `data:` line holds it."""

from collections.abc import Iterable, Sequence

import orjson

from connectors.gateway.changes import Change
from connectors.gateway.resume import Gap, event_id
from connectors.gateway.view import Found


def _frame(event: str, data: bytes, id_line: str = "") -> bytes:
    return b"%sevent: %s\ndata: %s\n\n" % (id_line.encode(), event.encode(), data)


def id_line(change: Change | None, ending: str) -> str:
    """The line that makes this change the reader's last event id."""
    return "" if change is None else f"id: {event_id(change, ending)}\n"


def jobs_array(jobs: Iterable[Change]) -> bytes:
    """The documents as one JSON array."""
    return b"[%s]" % b",".join(each.body for each in jobs if each.body is not None)


def snapshot(channels: Sequence[str], found: Found, at: str) -> bytes:
    """The whole state of the channels: `jobs` is empty when none is known. `at` is the id line of that moment."""
    head = orjson.dumps({"channels": channels, "total": found.total})[:-1]
    return _frame("snapshot", b'%s,"jobs":%s}' % (head, jobs_array(found.jobs)), at)


def job(change: Change, ending: str) -> bytes:
    """One change: `job` with the document, or `gone` when the job is forgotten."""
    if change.body is None:
        return _frame("gone", orjson.dumps({"file_id": change.file_id}), id_line(change, ending))
    return _frame("job", change.body, id_line(change, ending))


def gap(reason: Gap) -> bytes:
    """What came before cannot be told; a snapshot follows."""
    return _frame("gap", orjson.dumps({"reason": reason}))


SLOW = _frame("slow", orjson.dumps({"reason": "events came faster than they were read; connect again"}))


def comment(text: str, id_line: str = "") -> bytes:
    """What readers ignore. With an id line it moves their last event id on, without an event."""
    return b": %s\n%s\n" % (text.encode(), id_line.encode())


def retry(seconds: float) -> bytes:
    """How long a browser is to wait before it connects again."""
    return b"retry: %d\n\n" % (seconds * 1000)
