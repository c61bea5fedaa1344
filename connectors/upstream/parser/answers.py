"""Answers of the REST calls: the file, the project, and what a generate call has begun."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from connectors.upstream.parser import files, values
from connectors.upstream.parser.results import (
    Broken,
    Endpoint,
    Generated,
    Ignored,
    Missing,
    Parsed,
    Sight,
)
from connectors.upstream.parser.values import Unreadable
from schemas.base import Kind, trusted
from schemas.observations import Observation

Finding = Observation | Generated | Missing | Ignored
_made = trusted(Generated)


def parse_answer(body: object, endpoint: Endpoint, sight: Sight, file_id: str | None = None) -> Parsed:
    """What the answer to a call says; `body` is its bytes, or what was read of them already.

    `file_id` is the file that was asked for, as a FileId: an answer about another one is ignored.
    """
    raw = values.raw(body) if isinstance(body, str) else body if isinstance(body, bytes) else None
    try:
        answer = body if raw is None else values.load(raw)
        return _sorted(_READERS[endpoint](answer, sight, file_id))
    except Unreadable as error:
        return Parsed(broken=(Broken(error.reason, raw or b""),))


def _sorted(findings: Iterable[Finding]) -> Parsed:
    observations: list[Observation] = []
    generated: list[Generated] = []
    missing: list[str] = []
    ignored: list[Ignored] = []
    for each in findings:
        if isinstance(each, Ignored):
            ignored.append(each)
        elif isinstance(each, Missing):
            missing.append(each.file_id)
        elif isinstance(each, Generated):
            generated.append(each)
        else:
            observations.append(each)
    return Parsed(tuple(observations), tuple(generated), tuple(missing), tuple(ignored))


def parse_refusal(body: bytes) -> tuple[str, str]:
    """The field and the server's words of a refused call, each "" where it names none (both shapes of 422)."""
    try:
        answer = values.load(body)
    except Unreadable:
        return "", values.text(body.decode("utf-8", "replace").strip()) or ""
    if not isinstance(answer, dict):
        return "", values.text(answer) or ""
    for key in ("errors", "detail"):
        listed = answer.get(key)
        if isinstance(listed, list) and listed:
            first = values.as_dict(listed[0])
            path = first.get("loc")
            where = path if isinstance(path, list) else [first.get("field")]
            field = ".".join(str(part) for part in where if isinstance(part, str | int) and part != "body")
            return values.text(field) or "", values.text(first.get("msg")) or values.words(first) or ""
    return "", values.words(answer) or ""


def _file(answer: object, sight: Sight, asked: str | None) -> Iterator[Finding]:
    if not isinstance(answer, dict):
        raise Unreadable("not_an_object")
    named = values.file_id(answer.get("id"))
    if named is None and not (asked and ("url" in answer or "tasks" in answer)):
        raise Unreadable("not_a_file")
    if asked and named not in (None, asked):
        yield Ignored("another_file")
        return
    yield from files.snapshot(answer, named or str(asked), sight)


def _project(answer: object, sight: Sight, asked: str | None) -> Iterator[Finding]:
    if not isinstance(answer, dict) or not isinstance(answer.get("data") or [], list) or "id" not in answer:
        raise Unreadable("not_a_project")
    if not answer.get("data"):
        yield Ignored("no_file")  # a project that has just begun: the older flow's first answer
        return
    for item in answer["data"]:
        value = values.as_dict(values.as_dict(item).get("value"))
        try:
            file_id = values.file_id(value.get("file_id"))
        except Unreadable as error:
            yield Ignored(error.reason)
            continue
        if file_id is None:
            yield Ignored("no_file")
        elif not asked or asked == file_id:
            yield from _item({"type": item.get("type"), **value}, file_id, sight)


def _item(body: dict[str, Any], file_id: str, sight: Sight) -> Iterator[Finding]:
    for each in files.result(body, file_id, sight, "url"):
        yield Missing(file_id) if each == Ignored("no_url") else each


def _generated(kind: Kind) -> Callable[[object, Sight, str | None], Iterator[Finding]]:
    def read(answer: object, sight: Sight, asked: str | None) -> Iterator[Finding]:  # noqa: ARG001 - readers are of one shape
        for each in answer if isinstance(answer, list) else [answer]:
            yield _begun(each, kind)

    return read


def _is_project(answer: dict[str, Any]) -> bool:
    """The older flow answers with a project, `{"id", "status"}`: there `id` names no file."""
    return "status" in answer and not {"url", "tasks", "type"} & answer.keys()


def _begun(answer: object, kind: Kind) -> Generated | Ignored:
    if not isinstance(answer, dict):
        return Ignored("not_an_object")
    data = answer.get("data")
    item = values.as_dict(data[0]) if isinstance(data, list) and data else {}
    value = values.as_dict(item.get("value"))
    own_id = None if _is_project(answer) else answer.get("id")
    file_id = values.first_uuid("file", own_id, value.get("file_id"), item.get("id"), answer.get("fileId"))
    if file_id is None:
        return Ignored("no_file_id")
    projects = (answer.get("project_id"), value.get("project_id"), answer.get("projectId"))
    return _made(
        file_id=file_id,
        project_id=values.first_uuid("project", *projects),
        upstream_generation_id=files.upstream_generation_id(answer) or files.upstream_generation_id(value),
        kind=files.kind(answer) or kind,
    )


_READERS: dict[Endpoint, Callable[[object, Sight, str | None], Iterator[Finding]]] = {
    "file": _file,
    "project": _project,
    "generate-video": _generated("video"),
    "generate-image": _generated("image"),
}
