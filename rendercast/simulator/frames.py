"""What the stream says, and how it is spelled: JSON in `data:` lines with CRLF, no `id:`, no `event:`. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import orjson

from rendercast.simulator.chance import coin, pick
from rendercast.simulator.jobs import SimulatedFile, Step
from rendercast.simulator.lies import lie
from rendercast.simulator.objects import Json, file_object, foreign_object, last_done

Scope = Literal["file", "project"]
"""A file's own channel; or one that carries many files, a project's or a user's."""

BOM = b"\xef\xbb\xbf"
TEST = b'data: {"type":"test","message":"the server is in test mode"}\r\n\r\n'
_FAILURE = "Generation failed: the model returned no output"
_RESULT_SHAPES = ("url", "file_url", "whole", "file", "both", "data", "task")
_NOISE = (
    b": a comment\r\n\r\n",
    b"data:\r\n\r\n",
    b'data: {"type":"weather","object":{"temperature":21}}\r\n\r\n',
    b'data: {"type":"scene","object":{"id":"5c1d7e2a-8f57-4d3b-9b0e-6f1f6f0a7c11","order":3}}\r\n\r\n',
    b'data: {"type":"entity","object":"a text"}\r\n\r\n',
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame about a file. `url` is the one it announces, if it announces one."""

    payload: Json
    body: bytes
    file_id: str
    url: str | None = None

    def changed(self, payload: Json) -> "Frame":
        """It says the same with this."""
        return self if payload is self.payload else replace(self, payload=payload, body=encode(payload))


def say(file: SimulatedFile, step: Step, scope: Scope) -> list[Frame]:
    """The frames by which a step is told on a channel."""
    url = None
    match step.what:
        case "task":
            payloads = [{"type": "task", "object": _task(file, str(step.value), scope)}]
        case "task_status":
            payloads = [{"type": "task_status", "object": {"status": step.value}}]
        case "progress":
            payloads = [{"type": "render_progress", "object": _progress(file, step, scope)}]
        case "error":
            payloads = [{"type": "error", "object": _error(file)}]
        case "foreign":
            payloads = [{"type": "file", "object": foreign_object(file)}]
        case "stale":
            old = last_done(file)
            url = old.url if old else None
            fresh = {"file_id": file.id, "url": url}
            payloads = [
                {"type": "render_result", "object": fresh},
                {"type": "file", "object": file_object(file, step.at)},
            ]
        case "thumbnail":
            url = file.current.url
            payloads = [{"type": "file", "object": file_object(file, step.at)}]
        case "result":
            url = file.current.url
            payloads = _result(file, step.at, scope)
        case what:
            payloads = lie(file, what, int(step.value or 0))
    return [Frame(payload, encode(payload), file.id, url) for payload in payloads]


def encode(payload: Json) -> bytes:
    """One frame on one line."""
    return b"data: " + orjson.dumps(payload) + b"\r\n\r\n"


def ping(now: datetime) -> bytes:
    """As sse-starlette writes it."""
    return f": ping - {now}\r\n\r\n".encode()


def disguise(frame: Frame, *key: object) -> bytes:
    """The frame with noise before it, or spelled in a way that is allowed and unusual."""
    return pick((_after_noise, _object_as_text, _many_lines), *key, "disguise")(frame, *key)


def _after_noise(frame: Frame, *key: object) -> bytes:
    return pick(_NOISE, *key, "noise") + frame.body


def _object_as_text(frame: Frame, *_key: object) -> bytes:
    found = frame.payload["object"]
    return encode({**frame.payload, "object": found if isinstance(found, str) else orjson.dumps(found).decode()})


def _many_lines(frame: Frame, *_key: object) -> bytes:
    lines = orjson.dumps(frame.payload, option=orjson.OPT_INDENT_2).splitlines()
    return b"".join(b"data: " + line + b"\r\n" for line in lines) + b"\r\n"


def _task(file: SimulatedFile, status: str, scope: Scope) -> Json:
    found: Json = {"id": file.current.task_id, "status": status}
    if pick((True, True, False), file.current.id, "task names file"):
        found["file_id"] = file.id
    return found | _project(file, scope)


def _project(file: SimulatedFile, scope: Scope) -> Json:
    """The project's id, at times with its channel's prefix."""
    if file.project_id is None:
        return {}
    prefix = pick(("", "project."), file.current.id, "prefix") if scope == "project" else ""
    return {"project_id": prefix + file.project_id}


def _progress(file: SimulatedFile, step: Step, scope: Scope) -> Json:
    """A percent from most flows, a fraction from some; on a shared channel not every file is named."""
    percent, current = float(step.value or 0), file.current
    is_fraction = pick((False, False, True), current.id, "fraction")
    found: Json = {"progress": percent / 100 if is_fraction else int(percent)}
    if scope == "file" or pick((True, False), current.id, "progress names file"):
        found["file_id"] = file.id
    if coin(current.id, "message", percent):
        found["message"] = f"Rendering, {percent:.0f}% done"
    return found


def _error(file: SimulatedFile) -> Json | str:
    """In one case of three a failure names its file; a bare error never does."""
    shape = pick(("text", "message", "named"), file.current.id, "error")
    if file.current.order.behaviour == "bare_error":
        return {"message": "a worker restarted"}
    if shape == "text":
        return _FAILURE
    return {"message": _FAILURE} | ({"file_id": file.id} if shape == "named" else {})


def _result(file: SimulatedFile, now: float, scope: Scope) -> list[Json]:
    url, whole = file.current.url, file_object(file, now)
    short = {"type": "render_result", "object": {"file_id": file.id, "url": url}}
    changed = {"type": "file", "object": whole}
    match pick(_RESULT_SHAPES, file.current.id, "result"):
        case "url":
            return [short]
        case "file_url":
            return [{"type": "render_result", "object": {"file_id": file.id, "file_url": url}}]
        case "whole":
            return [{"type": "render_result", "object": whole}]
        case "file":
            return [changed]
        case "data":
            value = {"file_id": file.id, "url": url}
            return [{"type": "data", "object": {"type": "file", **_project(file, scope), "value": value}}]
        case "task":
            task = {"id": file.current.task_id, "status": "completed", "file_id": file.id, "result_url": url}
            return [{"type": "task", "object": task | _project(file, scope)}]
        case _:
            return [changed, short]
