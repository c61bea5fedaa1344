"""What the gateway tells of its jobs' traces: the request that asked for them, and the command to Kafka."""

from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import Request

from schemas import Cancel, Check, Track
from schemas.headers import TRACEPARENT, generation_of
from schemas.trace import parse_traceparent
from tracing import Tracing, messaging, now


class Named(NamedTuple):
    """A file's generation."""

    file_id: str
    generation: str


def tell_asked(
    tracing: Tracing, request: Request, started: datetime, status: HTTPStatus, found: Iterable[Named]
) -> None:
    """A span of the request in each job's trace, linked to the caller's span, if the request names one."""
    if not tracing.is_on:
        return
    ended, route = now(), getattr(request.scope.get("route"), "path", "none")
    told = {
        "http.request.method": request.method,
        "http.route": route,
        "url.path": request.url.path,
        "http.response.status_code": status.value,
    }
    caller = parse_traceparent(request.headers.get(TRACEPARENT, "").encode("latin-1"))
    for each in found:
        tracing.span(each, f"{request.method} {route}", started, ended, told, kind="server", link=caller)


def tell_sent(
    tracing: Tracing, topic: str, command: Track | Check | Cancel, started: datetime, error: str | None
) -> None:
    """A span of the command, where it says which generation it is of."""
    generation = generation_of(command) if tracing.is_on else None
    if generation is not None:
        facts = {**messaging("send", topic), "rendercast.command": command.type}
        job = Named(command.file_id, generation)
        tracing.span(job, f"send {topic}", started, now(), facts, kind="producer", error=error)
