"""Frames that say what is not so, and true ones whose ids are told otherwise or not at all. Pure."""

from rendercast.simulator.jobs import Lie, SimulatedFile
from rendercast.simulator.objects import Json, foreign_object

NO_UUIDS = ("video-generator-tool", "", "../../etc/passwd", "998d0000-0000", 42, None, {"id": 1})
WILD = (1e9, -1e9, -1, "75", None, True)
_NAMELESS = frozenset({"render_progress", "render_result", "task", "data"})


def lie(file: SimulatedFile, what: Lie, size: int) -> list[Json]:
    """What is said instead of the truth. `size`: of a huge frame's message, in bytes."""
    current = file.current
    match what:
        case "foreign_result":
            other = foreign_object(file)
            named = {"file_id": other["id"], "url": other["url"]}
            task = {"id": other["id"], "status": "completed", "file_id": other["id"], "result_url": other["url"]}
            return [
                {"type": "render_result", "object": named},
                {"type": "task", "object": task},
                {"type": "data", "object": {"type": "file", "value": named}},
            ]
        case "wrong_kind":
            url = current.thumbnail_url if current.order.kind == "video" else f"{current.url.partition('.png')[0]}.mp4"
            return [{"type": "render_result", "object": {"file_id": file.id, "url": url}}]
        case "bad_ids":
            return [
                {"type": "render_result", "object": {"file_id": each, "url": current.foreign_url}} for each in NO_UUIDS
            ]
        case "wild_progress":
            return [{"type": "render_progress", "object": {"progress": each, "file_id": file.id}} for each in WILD]
        case "huge_frame":
            found = {"progress": 45, "file_id": file.id, "message": "x" * size}
            return [{"type": "render_progress", "object": found}]


def prefixed(payload: Json) -> Json:
    """The frame with its file's and project's ids behind a prefix, as channels are named."""
    content = payload["object"]
    return {**payload, "object": _prefixed(content)} if isinstance(content, dict) else payload


def nameless(payload: Json) -> Json:
    """The frame without its file's id, where it is not a whole file."""
    content = payload["object"]
    if payload["type"] not in _NAMELESS or not isinstance(content, dict) or _is_whole(content):
        return payload
    found = {name: value for name, value in content.items() if name != "file_id"}
    if isinstance(value := found.get("value"), dict):
        found["value"] = {name: each for name, each in value.items() if name != "file_id"}
    return {**payload, "object": found}


def _prefixed(content: Json) -> Json:
    found = dict(content)
    names = [("file_id", "file."), ("project_id", "project."), *([("id", "file.")] if _is_whole(content) else [])]
    for name, prefix in names:
        value = found.get(name)
        if isinstance(value, str) and not value.startswith(prefix):
            found[name] = prefix + value
    if isinstance(value := found.get("value"), dict):
        found["value"] = _prefixed(value)
    return found


def _is_whole(content: Json) -> bool:
    """Whether this is a file object."""
    return "thumbnail_url" in content
