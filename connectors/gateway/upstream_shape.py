"""The changes of jobs as frames of the upstream's own event stream, for clients that were written for that one. Pure.

Such a frame is one `data:` line, `{"type": …, "object": {…}}`: no event name and no id, so there is no resume either.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from connectors.gateway.changes import Change

MAX_FILES = 5_000
"""Files of which a connection remembers what it was told; those heard of longest ago go first."""

_ENDED = {
    "failed": "The generation failed.",
    "timed_out": "The generation did not end in time.",
    "cancelled": "The generation was cancelled.",
}


class _Told(NamedTuple):
    """What one frame said: an outcome, or how far it is."""

    generation: str
    outcome: str | None
    progress: int
    message: str | None


class UpstreamShape:
    """What one connection is told: progress where it has moved, and each outcome of a generation once.

    What changes after a result (a thumbnail, a fresh URL) is not told: those clients would store the file again.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, _Told] = OrderedDict()

    def frames(self, changes: Iterable[Change]) -> list[bytes]:
        """One frame for each change that says something new to this connection."""
        return [frame for each in changes if (frame := self._frame(each)) is not None]

    def _frame(self, change: Change) -> bytes | None:
        if change.body is None:  # forgotten: the upstream has no word for it
            return None
        job = orjson.loads(change.body)
        said = _progress(job) if change.outcome is None else _end(job)
        if said is None:
            return None
        told = (
            _Told(change.generation, None, said["object"]["progress"], job.get("message"))
            if change.outcome is None
            else _Told(change.generation, change.outcome, 100, None)
        )
        if self._told.get(change.file_id) == told:
            return None
        self._told[change.file_id] = told
        self._told.move_to_end(change.file_id)
        if len(self._told) > MAX_FILES:
            self._told.popitem(last=False)
        return b"data: %s\n\n" % orjson.dumps(said)


def _progress(job: dict[str, Any]) -> dict[str, Any]:
    percent = round(job["progress"])
    # Some flows of the upstream tell fractions, so clients take everything up to 1 for one: 1 would be all of it.
    said = {"progress": 2 if percent == 1 else percent, "file_id": job["file_id"]}
    return {"type": "render_progress", "object": said | ({"message": job["message"]} if job.get("message") else {})}


def _end(job: dict[str, Any]) -> dict[str, Any] | None:
    """A result with its URL, which is the file object too, as far as it is known here; or an error with its reason."""
    if job["outcome"] == "completed":
        return {"type": "render_result", "object": _file(job)} if job.get("url") else None
    words = _ENDED.get(job["outcome"])
    if words is None:  # superseded: the file's new generation is told
        return None
    message = job.get("message") if job["outcome"] == "failed" else None
    return {"type": "error", "object": {"message": message or words, "file_id": job["file_id"]}}


def _file(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "file_id": job["file_id"],
        "url": job["url"],
        "id": job["file_id"],
        "type": job["kind"],
        "thumbnail_url": job.get("thumbnail_url"),
        "project_id": job.get("project_id"),
        "tasks": [],
    }
