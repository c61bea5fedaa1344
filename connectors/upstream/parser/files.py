"""The file object, which answers and frames carry alike."""

from collections.abc import Iterator
from typing import Any

from connectors.upstream.parser import values
from connectors.upstream.parser.results import Ignored, Sight
from connectors.upstream.parser.values import Unreadable
from schemas.base import Kind, trusted
from schemas.media import kind_of_type
from schemas.observations import Result, Snapshot, TaskStatus

_MARKS = ("tasks", "thumbnail_url", "video_generation_id", "image_generation_id", "audio_generation_id")
_GENERATIONS = ("video_generation", "image_generation", "audio_generation")
_snapshot, _result = trusted(Snapshot), trusted(Result)


def is_file(body: dict[str, Any]) -> bool:
    """Whether `body` is a whole file object, not just an id and a URL."""
    return "id" in body and any(mark in body for mark in _MARKS)


def snapshot(body: dict[str, Any], file_id: str, sight: Sight) -> Iterator[Snapshot | Ignored]:
    """The file object `body` as a Snapshot of `file_id`. A URL that is none leaves the rest standing."""
    found, notes = _urls(body, "url")
    yield from notes
    task_id, task_status, message = _newest_task(body.get("tasks"), file_id)
    yield _snapshot(
        **sight.facts(file_id),
        kind=kind(body),
        content_type=content_type(body),
        upstream_generation_id=upstream_generation_id(body),
        task_id=task_id,
        task_status=task_status,
        message=message,
        **found,
    )


def result(body: dict[str, Any], file_id: str, sight: Sight, *keys: str) -> Iterator[Result | Ignored]:
    """The URL under the first of `keys` that has one, as a Result of `file_id`."""
    found, notes = _urls(body, *keys)
    yield from notes
    if "url" not in found:
        yield Ignored("no_url")
        return
    yield _result(
        **sight.facts(file_id),
        kind=kind(body),
        content_type=content_type(body),
        upstream_generation_id=upstream_generation_id(body),
        **found,
    )


def kind(body: dict[str, Any]) -> Kind | None:
    """What the object calls itself."""
    return kind_of_type(body.get("type"))


def content_type(body: dict[str, Any]) -> str | None:
    """The media type, under either spelling."""
    return values.text(body.get("contentType")) or values.text(body.get("content_type"))


def upstream_generation_id(body: dict[str, Any]) -> str | None:
    """Which run of the upstream made the file: the id beside the nested object, or the nested object's own."""
    for key in _GENERATIONS:
        nested = body.get(key)
        found = values.name(body.get(key + "_id")) or (
            values.name(nested.get("id")) if isinstance(nested, dict) else None
        )
        if found:
            return found
    return None


def _urls(body: dict[str, Any], *keys: str) -> tuple[dict[str, str], list[Ignored]]:
    found: dict[str, str] = {}
    notes: list[Ignored] = []
    for name, key in (*(("url", key) for key in keys), ("thumbnail_url", "thumbnail_url")):
        try:
            read = values.url(body.get(key))
        except Unreadable as error:
            notes.append(Ignored(error.reason))
        else:
            if read and name not in found:
                found[name] = read
    return found, notes


def _newest_task(tasks: object, file_id: str) -> tuple[str | None, TaskStatus | None, str | None]:
    """Id, status and error message of the last task in the list that is not another file's."""
    listed = reversed(tasks) if isinstance(tasks, list) else ()
    newest = next((each for each in listed if isinstance(each, dict) and _is_of(each, file_id)), None)
    if newest is None:
        return None, None, None
    try:
        status = values.status(newest.get("status"))
    except Unreadable:
        status = None
    return values.name(newest.get("id")), status, values.words(newest)


def _is_of(task: dict[str, Any], file_id: str) -> bool:
    named = task.get("file_id")
    return named is None or named == "" or values.uuid(named, "file") == file_id
