"""The rules: what an event does to a job. Pure, total, deterministic; time is a field of the event.

`advance(job, event)` gives the job as it is then, what is to be told, and one word for the counters. The rules and
their numbers are those of `ARCHITECTURE.md`; `tests/unit/streams/test_rules.py` shows each by example.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from schemas import (
    Cancel,
    Check,
    Command,
    EarlierGeneration,
    Expired,
    Failure,
    Gap,
    Job,
    Observation,
    Outcome,
    Progress,
    Reason,
    Result,
    Snapshot,
    TaskChange,
    Track,
)
from schemas.base import trusted
from schemas.codec import timestamp
from schemas.ids import anonymous_generation
from schemas.jobs import DOCUMENT_FORMAT
from schemas.media import is_right_kind
from streams.outputs import EndWatch, Told, artifact, artifacts, completion, storage, watch

DEADLINE_SECONDS = {"image": 420.0, "video": 900.0, "audio": 900.0, "other": 900.0}
"""Used where a Track sets none (upstream.md: 7 minutes for images, 15 for videos)."""

CHECK_INTERVAL = timedelta(seconds=1)
"""Checks asked for within this time of the last one are that one."""

OVERTAKEN = timedelta(minutes=1)
"""A Track that was issued so much before the current job's was overtaken; less may be a difference of clocks."""

MAX_EARLIER = 16
"""Generations of one file that are remembered as ended."""

MAX_CHATS = 32
"""Chats that one generation is shown in."""

Verdict = Literal[
    "tracked", "joined", "advanced", "ended", "checked",  # something changed
    "repeated", "duplicate", "stale", "unknown", "nothing_new", "not_named", "wrong_kind", "after_end", "forgotten",
]  # fmt: skip


_job, _earlier = trusted(Job), trusted(EarlierGeneration)


@dataclass(frozen=True, slots=True)
class Forget:
    """Event: drop the job if it has finished before this moment."""

    finished_before: datetime


Event = Command | Observation | Forget


class Advance(NamedTuple):
    """`job` is None where nothing is known of the file (any more)."""

    job: Job | None
    outputs: tuple[Told, ...]
    verdict: Verdict


def advance(job: Job | None, event: Event) -> Advance:
    """One step. Raises nothing, whatever the event; where nothing changes `job` comes back as the same object."""
    kind = type(event)
    if kind is Track:
        return _track(job, cast("Track", event))
    if job is None:
        return Advance(None, (), "unknown")
    if kind in _REQUESTS:
        return _REQUESTS[kind](job, event)
    if _is_stale(job, cast("Observation", event)):
        return Advance(job, (), "stale")
    if job.outcome is not None:
        return _after_the_end(job, cast("Observation", event))
    return _OBSERVATIONS[kind](job, event)


# ------------------------------------------------------------------ commands


def _track(job: Job | None, track: Track) -> Advance:
    """Rule 1: the same generation changes nothing, a new one starts afresh."""
    generation = (
        track.request_id
        or track.upstream_generation_id
        or anonymous_generation(track.file_id, timestamp(track.issued_at))
    )
    if job is None:
        return _start(track, generation, version=1, earlier=(), told=())
    if _is_current(job, track, generation):
        return _join(job, track)
    if any(each.generation == generation for each in job.earlier):
        return _same(job, "repeated")
    if track.issued_at < job.tracked_at - OVERTAKEN:
        return _ended_before_it_began(job, track, generation)
    if job.outcome is not None:
        return _start(track, generation, job.version + 1, _remember(job), told=())
    ended = _end(job, track.issued_at, "superseded", "superseded")
    return _start(track, generation, ended.version + 1, _remember(ended), (completion(ended), *artifacts(ended)))


def _is_current(job: Job, track: Track, generation: str) -> bool:
    if job.generation in (generation, track.upstream_generation_id):
        return True
    if track.request_id is not None:
        return False
    if track.upstream_generation_id is not None:
        return track.upstream_generation_id == job.upstream_generation_id
    return job.outcome in (None, "completed")  # it names no generation: it asks for the file as it is


def _start(
    track: Track, generation: str, version: int, earlier: tuple[EarlierGeneration, ...], told: tuple[Told, ...]
) -> Advance:
    seconds = track.deadline_seconds or DEADLINE_SECONDS[track.kind]
    job = _job(
        file_id=track.file_id,
        generation=generation,
        version=version,
        kind=track.kind,
        status="pending",
        estimate_seconds=track.estimate_seconds,
        project_id=track.project_id,
        user_id=track.user_id,
        prompt=track.prompt,
        deadline_at=track.issued_at + timedelta(seconds=seconds),
        tracked_at=track.issued_at,
        updated_at=track.issued_at,
        chats=(track.chat,) if track.chat else (),
        upstream_generation_id=track.upstream_generation_id,
        earlier=earlier,
        format=DOCUMENT_FORMAT,
        watching=True,
    )
    return Advance(job, (*told, watch(job), *artifacts(job)), "tracked")


def _join(job: Job, track: Track) -> Advance:
    if track.chat is None or track.chat in job.chats or len(job.chats) >= MAX_CHATS:
        return _same(job, "repeated")
    joined = _changed(job, track.issued_at, chats=(*job.chats, track.chat))
    return Advance(joined, (artifact(joined, track.chat),), "joined")


def _ended_before_it_began(job: Job, track: Track, generation: str) -> Advance:
    """A Track overtaken by a later one: the file has moved on, and this generation ends as superseded."""
    late = _start(track, generation, job.version + 1, (), ()).job
    assert late is not None
    entry = _earlier(generation=generation, upstream_generation_id=track.upstream_generation_id)
    kept = _changed(job, job.updated_at, earlier=(*job.earlier, entry)[-MAX_EARLIER:])
    ended = _end(late, job.tracked_at, "superseded", "superseded")
    return Advance(kept, (completion(ended), *artifacts(ended)), "ended")


def _remember(job: Job) -> tuple[EarlierGeneration, ...]:
    ended = _earlier(
        generation=job.generation,
        upstream_generation_id=job.upstream_generation_id,
        url=job.url,
        task_id=job.task_id,
    )
    return (*job.earlier, ended)[-MAX_EARLIER:]


def _check(job: Job, check: Check) -> Advance:
    """Rule 8: one look per second at most, on a job that has timed out too; for a fresh URL, on a completed one."""
    if check.expired_url is not None:
        if job.outcome != "completed" or check.expired_url not in (job.url, job.thumbnail_url):
            return _same(job, "nothing_new")  # a fresh one has been told since
    elif job.outcome not in (None, "timed_out"):
        return _same(job, "after_end")
    if job.checked_at is not None and abs(check.issued_at - job.checked_at) < CHECK_INTERVAL:
        return _same(job, "repeated")
    asked = _changed(job, check.issued_at, check=job.check + 1, checked_at=check.issued_at, watching=True)
    return Advance(asked, (watch(asked),), "checked")


def _cancel(job: Job, cancel: Cancel) -> Advance:
    """Rule 9."""
    if cancel.generation not in (None, job.generation):
        return _same(job, "stale")
    if job.outcome is None:
        return _told(_end(job, cancel.issued_at, "cancelled", "cancelled"))
    if not job.watching:
        return _same(job, "after_end")
    return _stop_watching(job, cancel.issued_at)


def _forget(job: Job, event: Forget) -> Advance:
    """Rule 12. A look that was asked for after a time-out, and that nobody has answered since, goes with it."""
    if job.finished_at is None or job.finished_at >= event.finished_before:
        return _same(job, "nothing_new")
    return Advance(None, (EndWatch(job.file_id),) if job.watching else (), "forgotten")


# -------------------------------------------------------------- observations


def _is_stale(job: Job, event: Observation) -> bool:
    """Rule 2: seen under an earlier generation's watch, or carrying what an earlier generation ended with."""
    if event.generation is not None and event.generation != job.generation:
        return True
    if not job.earlier or not isinstance(event, (Result, Snapshot)):
        return False
    url, upstream_generation_id = event.url, event.upstream_generation_id
    if upstream_generation_id == job.upstream_generation_id:
        upstream_generation_id = None  # the caller says that this id is the current generation's
    return any(
        (url is not None and url == each.url)
        or (upstream_generation_id is not None and upstream_generation_id == each.upstream_generation_id)
        for each in job.earlier
    )


def _progress(job: Job, event: Progress) -> Advance:
    """Rule 6: it only grows."""
    if event.progress <= job.progress and job.status == "processing":
        return _same(job, "duplicate")
    return _moved(
        job, event,
        status="processing",
        progress=event.progress,
        message=event.message or job.message,
        estimate_seconds=job.estimate_seconds if event.estimate_seconds is None else event.estimate_seconds,
    )  # fmt: skip


def _result(job: Job, event: Result) -> Advance:
    return _complete(job, event) or _same(job, "wrong_kind")


def _snapshot(job: Job, event: Snapshot) -> Advance:
    return _complete(job, event) or _task(job, event, event.task_status)


def _task_change(job: Job, event: TaskChange) -> Advance:
    return _task(job, event, event.status)


def _failure(job: Job, event: Failure) -> Advance:
    """Rule 4: an error that does not name the file is a reason to look, which the connector does."""
    return _fail(job, event) if event.named else _same(job, "not_named")


def _gap(job: Job, event: Gap) -> Advance:
    return Advance(_changed(job, event.observed_at, gaps=job.gaps + 1), (), "advanced")


def _expired(job: Job, event: Expired) -> Advance:
    """Rule 7."""
    return _told(_end(job, event.observed_at, "timed_out", "timed_out"))


def _complete(job: Job, event: Result | Snapshot) -> Advance | None:
    """Rule 3: a URL of the right kind. None where there is no such URL."""
    if not _is_media(job, event):
        return None
    ended = _end(
        job, event.observed_at, "completed", None,
        progress=100.0,
        message=None,
        late=job.outcome == "timed_out",
        url=event.url,
        thumbnail_url=event.thumbnail_url or job.thumbnail_url,
        won_by=event.source,
        upstream_generation_id=job.upstream_generation_id or event.upstream_generation_id,
        task_id=(event.task_id if isinstance(event, Snapshot) else None) or job.task_id,
    )  # fmt: skip
    return _told(ended, *storage(ended, "media"), *storage(ended, "thumbnail"))


def _task(job: Job, event: Snapshot | TaskChange, status: str | None) -> Advance:
    """Rules 4 and 5: the newest task in error is the end; all tasks completed is not."""
    if event.task_id is not None and any(event.task_id == each.task_id for each in job.earlier):
        return _same(job, "stale")
    if status == "error":
        return _fail(job, event)
    learned: dict[str, Any] = {}
    if status in ("in_progress", "completed") and job.status == "pending":
        learned["status"] = "processing"
    if event.task_id not in (None, job.task_id):
        learned["task_id"] = event.task_id
    if isinstance(event, Snapshot) and job.upstream_generation_id is None and event.upstream_generation_id:
        learned["upstream_generation_id"] = event.upstream_generation_id
    if learned:
        return _moved(job, event, **learned)
    return _same(job, "wrong_kind" if isinstance(event, Snapshot) and event.url else "nothing_new")


def _fail(job: Job, event: Failure | Snapshot | TaskChange) -> Advance:
    if event.task_id is not None and any(event.task_id == each.task_id for each in job.earlier):
        return _same(job, "stale")
    message = event.message or (event.reason if isinstance(event, Failure) else None)
    return _told(
        _end(
            job, event.observed_at, "failed", "upstream",
            message=message, task_id=event.task_id or job.task_id, won_by=event.source,
        )
    )  # fmt: skip


def _after_the_end(job: Job, event: Observation) -> Advance:
    """Rules 7 and 11: a late URL after a time-out, a thumbnail, fresh URLs where asked for; nothing else."""
    if isinstance(event, (Result, Snapshot)):
        if job.outcome == "timed_out":
            return _complete(job, event) or _same(job, "after_end")
        if job.outcome == "completed":
            return _see_again(job, event)
        return _same(job, "duplicate" if event.url else "after_end")
    if isinstance(event, Expired) and job.watching:
        return _stop_watching(job, event.observed_at)
    is_end = isinstance(event, (Failure, Expired)) or (isinstance(event, TaskChange) and event.status == "error")
    return _same(job, "duplicate" if is_end else "after_end")


def _see_again(job: Job, event: Result | Snapshot) -> Advance:
    """Evidence of a completed job. It is watched only while somebody waits for a fresh URL (rule 8)."""
    fields: dict[str, Any] = {}
    if event.thumbnail_url not in (None, job.thumbnail_url) and (job.watching or job.thumbnail_url is None):
        fields["thumbnail_url"] = event.thumbnail_url
    if job.watching and event.url != job.url and _is_media(job, event):
        old = _earlier(generation=job.generation, url=job.url)
        fields.update(url=event.url, earlier=(*job.earlier, old)[-MAX_EARLIER:])
    if fields:
        shown = _changed(job, event.observed_at, watching=False, **fields)
        end = (EndWatch(job.file_id),) if job.watching else ()
        media = storage(shown, "media") if "url" in fields else ()
        thumbnail = storage(shown, "thumbnail") if "thumbnail_url" in fields else ()
        return Advance(shown, (*end, *artifacts(shown), *media, *thumbnail), "advanced")
    if job.watching and event.source == "check":  # the look that was asked for has found nothing fresh
        return _stop_watching(job, event.observed_at)
    return _same(job, "duplicate" if event.url else "after_end")


def _is_media(job: Job, event: Result | Snapshot) -> bool:
    return event.url is not None and is_right_kind(job.kind, event.url, event.content_type, event.kind)


# ------------------------------------------------------------- small steps


def _same(job: Job, verdict: Verdict) -> Advance:
    return Advance(job, (), verdict)


def _changed(job: Job, at: datetime, **fields: Any) -> Job:
    fields["version"] = job.version + 1
    fields["updated_at"] = max(at, job.updated_at)
    return job.changed(fields)


def _moved(job: Job, event: Observation, **fields: Any) -> Advance:
    moved = _changed(job, event.observed_at, **fields)
    return Advance(moved, artifacts(moved) if moved.chats else (), "advanced")


def _end(job: Job, at: datetime, outcome: Outcome, reason: Reason | None, **fields: Any) -> Job:
    status = "completed" if outcome == "completed" else "error"
    return _changed(
        job, at, status=status, outcome=outcome, reason=reason, finished_at=at, watching=False, estimate_seconds=None,
        **fields
    )  # fmt: skip


def _told(ended: Job, *more: Told) -> Advance:
    return Advance(ended, (completion(ended), EndWatch(ended.file_id), *artifacts(ended), *more), "ended")


def _stop_watching(job: Job, at: datetime) -> Advance:
    return Advance(_changed(job, at, watching=False), (EndWatch(job.file_id),), "after_end")


_REQUESTS: dict[type, Callable[[Job, Any], Advance]] = {Check: _check, Cancel: _cancel, Forget: _forget}
_OBSERVATIONS: dict[type, Callable[[Job, Any], Advance]] = {
    Progress: _progress,
    Result: _result,
    Snapshot: _snapshot,
    TaskChange: _task_change,
    Failure: _failure,
    Gap: _gap,
    Expired: _expired,
}
"""By type, because pydantic's classes make `isinstance` ten times as dear."""
