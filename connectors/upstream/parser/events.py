"""Frames of the event stream: one JSON object each, `{"type", "object"}` (the table in `upstream.md`)."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.upstream.parser import files, values
from connectors.upstream.parser.results import Broken, Channel, Ignored, Parsed, Sight
from connectors.upstream.parser.values import Unreadable
from schemas.base import trusted
from schemas.observations import Failure, Observation, Progress, TaskChange

_progress, _task_changed, _failure = trusted(Progress), trusted(TaskChange), trusted(Failure)


@dataclass(slots=True)
class _Frame:
    """`body` is the frame's object; the frame itself where it has none; empty where that is a text or a number: `said`.

    `outer` is the file that the frame names beside its object.
    """

    channel: Channel
    sight: Sight
    outer: object
    body: dict[str, Any]
    said: object = None
    has_object: bool = False

    def subject(self, named: object, *ids: object) -> str:
        """The file a frame is about: the first of what names one, `ids` only where they are UUIDs.

        One that names none is the channel's, if the channel is a file's.
        """
        channel = self.channel
        if channel.kind == "file" and named == channel.id:
            return channel.id
        found = values.file_id(named) or values.first_uuid("file", *ids, self.outer)
        if channel.kind != "file":
            if found is None:
                raise Unreadable("names_no_file")
            return found
        if found not in (None, channel.id):
            raise Unreadable("another_file")
        return channel.id

    def url_subject(self, body: dict[str, Any], key: str, *others: str) -> str:
        """The file a URL is said to be of. Where an id stands and is empty, the URL is not taken for the channel's."""
        ids = [body.get(each) for each in others]
        found = self.subject(body.get(key), *ids)
        if key in body and body[key] in (None, "") and values.first_uuid("file", *ids, self.outer) is None:
            raise Unreadable("names_no_file")
        return found


def parse_frame(data: str, channel: Channel, sight: Sight) -> Parsed:
    """What one frame's `data` says. Observations of a `file.` channel are about that file only."""
    if not data or data.isspace():
        return Parsed(ignored=(Ignored("empty"),))
    try:
        frame = values.load(data)
    except Unreadable as error:
        return Parsed(broken=(Broken(error.reason, values.raw(data)),))
    if not isinstance(frame, dict):
        return Parsed(broken=(Broken("not_an_object", values.raw(data)),))
    kind = frame.get("type")
    if not isinstance(kind, str) or kind not in _READERS:
        return Parsed(ignored=(Ignored("unknown_type"),))
    observations: list[Observation] = []
    ignored: list[Ignored] = []
    try:
        for each in _READERS[kind](_unfold(frame, channel, sight)):
            if isinstance(each, Ignored):
                ignored.append(Ignored(each.reason, kind))
            else:
                observations.append(each)
    except Unreadable as error:
        ignored.append(Ignored(error.reason, kind))
    return Parsed(tuple(observations), ignored=tuple(ignored))


def _unfold(frame: dict[str, Any], channel: Channel, sight: Sight) -> _Frame:
    found, outer = frame.get("object"), frame.get("file_id")
    if isinstance(found, str) and found.lstrip().startswith("{"):
        with contextlib.suppress(Unreadable):
            found = values.load(found)
    if isinstance(found, dict):
        return _Frame(channel, sight, outer, found, has_object=True)
    return _Frame(channel, sight, outer, frame) if found is None else _Frame(channel, sight, outer, {}, found)


def _render_progress(frame: _Frame) -> Iterator[Observation | Ignored]:
    body = frame.body
    file_id = frame.subject(body.get("file_id"))
    found = values.percent(body.get("progress") if frame.said is None else frame.said)
    if found is None:
        raise Unreadable("no_progress")
    yield _progress(**frame.sight.facts(file_id), progress=found, message=values.text(body.get("message")))


def _render_result(frame: _Frame) -> Iterator[Observation | Ignored]:
    body = frame.body
    file_id = frame.url_subject(body, "file_id", "fileId", "id")
    if not body.get("file_id") and files.is_file(body):
        yield from files.snapshot(body, file_id, frame.sight)
    else:
        yield from files.result(body, file_id, frame.sight, "url", "file_url")


def _file(frame: _Frame) -> Iterator[Observation | Ignored]:
    if not frame.has_object:
        raise Unreadable("no_object")
    file_id = frame.url_subject(frame.body, "id", "file_id")
    yield from files.snapshot(frame.body, file_id, frame.sight)


def _task(frame: _Frame) -> Iterator[Observation | Ignored]:
    body = frame.body
    file_id = frame.subject(body.get("file_id"))
    if body.get("result_url"):
        yield from _task_result(frame)
    yield _task_change(frame, file_id, "id")
    found = values.percent(body.get("progress"))
    if found is not None:
        yield _progress(**frame.sight.facts(file_id), progress=found)


def _task_result(frame: _Frame) -> Iterator[Observation | Ignored]:
    try:
        yield from files.result(frame.body, frame.url_subject(frame.body, "file_id"), frame.sight, "result_url")
    except Unreadable as error:
        yield Ignored(error.reason)


def _task_status(frame: _Frame) -> Iterator[Observation | Ignored]:
    yield _task_change(frame, frame.subject(frame.body.get("file_id")), "task_id")


def _task_change(frame: _Frame, file_id: str, id_key: str) -> TaskChange:
    status = values.status(frame.body.get("status"))
    if status is None:
        raise Unreadable("no_status")
    task_id = values.name(frame.body.get(id_key))
    return _task_changed(**frame.sight.facts(file_id), task_id=task_id, status=status, message=values.words(frame.body))


def _data(frame: _Frame) -> Iterator[Observation | Ignored]:
    value = frame.body.get("value")
    if not isinstance(value, dict) or not (value.get("url") or value.get("file_url")):
        raise Unreadable("no_file_url")
    body = {"type": frame.body.get("type"), **value}
    file_id = frame.url_subject(value, "file_id", "fileId", "id")
    yield from files.result(body, file_id, frame.sight, "url", "file_url")


def _error(frame: _Frame) -> Iterator[Observation | Ignored]:
    named = frame.body.get("file_id") or frame.outer
    file_id = frame.subject(named)
    yield _failure(
        **frame.sight.facts(file_id),
        reason="upstream_error",
        message=values.words(frame.body if frame.said is None else frame.said),
        task_id=values.name(frame.body.get("task_id")),
        named=bool(named),
    )


def _not_ours(frame: _Frame) -> Iterator[Observation | Ignored]:  # noqa: ARG001 - readers are of one shape
    yield Ignored("not_ours")


_READERS: dict[str, Callable[[_Frame], Iterator[Observation | Ignored]]] = {
    "render_progress": _render_progress,
    "render_result": _render_result,
    "file": _file,
    "task": _task,
    "task_status": _task_status,
    "data": _data,
    "entity": _not_ours,
    "scene": _not_ours,
    "error": _error,
    "test": _not_ours,
}
