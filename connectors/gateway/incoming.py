"""What comes in: bodies, path parts and queries, as checked values or as a Problem that names the field."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request

from connectors.gateway.channels import parse_channel
from connectors.gateway.errors import Problem, bad_field, bad_fields
from connectors.gateway.generate import Generated
from connectors.gateway.settings import GatewaySettings
from schemas import Status
from schemas.base import FileId, Name

R = TypeVar("R", bound=BaseModel)
_THROWN_AWAY = 16
"""How many times as large as it may be a body can be for its sender to be heard to the end."""
Channel = Annotated[str, Field(description="`file.<uuid>`, `project.<id>`, `user.<id>`, `chat.<id>` or `all`")]
_FILE_ID = TypeAdapter[str](FileId)
_GENERATED = TypeAdapter[Generated](Generated)
_KEY = TypeAdapter[str](Name)

PATHS: Mapping[str, TypeAdapter[Any]] = {
    "file_id": _FILE_ID, "kind": _GENERATED, "channel": TypeAdapter(Channel), "message_id": TypeAdapter[str](Name),
}  # fmt: skip
"""The parts of paths, by name."""

IDEMPOTENCY_KEY = {"Idempotency-Key": _KEY}
LAST_EVENT_ID = {"Last-Event-ID": TypeAdapter[str](str)}


class ListQuery(BaseModel):
    """`GET /api/jobs?project_id=…&status=…&limit=…`."""

    model_config = ConfigDict(frozen=True)

    project_id: Name | None = None
    status: Status | None = None
    limit: int = Field(default=100, ge=1)


class CancelQuery(BaseModel):
    """`DELETE /api/jobs/{file_id}?generation=…`: only if that is still the current one."""

    model_config = ConfigDict(frozen=True)

    generation: Name | None = None


class LastQuery(BaseModel):
    """`?last_event_id=…`, for clients that cannot send the header."""

    last_event_id: str | None = None


class ChannelsQuery(LastQuery):
    """`GET /api/events?channel=…&channel=…`."""

    channel: Annotated[list[Channel], Field(min_length=1)]


def checked(shape: type[R], values: Any, root: str) -> R:
    """The values as `shape`, or a Problem; what is wrong as a whole is said of `root`."""
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        raise bad_fields(error, root) from error


def query(request: Request, shape: type[R]) -> R:
    """The query as `shape`; of a name that is given twice the last value counts."""
    return checked(shape, dict(request.query_params), "query")


def file_id(request: Request) -> str:
    """The path's file id in lower case."""
    try:
        return _FILE_ID.validate_python(request.path_params["file_id"])
    except ValidationError as error:
        raise bad_field("file_id", "should be a UUID") from error


def message_id(request: Request) -> str:
    """The path's message id, as the chat database has it."""
    try:
        return _KEY.validate_python(request.path_params["message_id"])
    except ValidationError as error:
        raise bad_field("message_id", "should have at most 300 characters") from error


def generated_kind(request: Request) -> Generated:
    """The path's kind."""
    try:
        return _GENERATED.validate_python(request.path_params["kind"])
    except ValidationError as error:
        raise bad_field("kind", "should be image or video") from error


def idempotency_key(request: Request) -> str | None:
    """The header that makes repeats of a request one request; None without it."""
    found = request.headers.get("idempotency-key", "").strip()
    try:
        return _KEY.validate_python(found) if found else None
    except ValidationError as error:
        raise bad_field("Idempotency-Key", "should have at most 300 characters") from error


def channels(request: Request, limit: int) -> tuple[str, ...]:
    """The channels of the path or of the query, each once."""
    of_path = request.path_params.get("channel")
    asked = [of_path] if of_path is not None else request.query_params.getlist("channel")
    if not asked:
        raise bad_field("channel", "is missing; name one or more, as in ?channel=file.<uuid>")
    if len(asked) > limit:
        raise bad_field("channel", f"at most {limit} in one stream")
    try:
        return tuple(dict.fromkeys(parse_channel(each) for each in asked))
    except ValueError as error:
        raise bad_field("channel", str(error)) from error


def last_event_id(request: Request) -> str | None:
    """The header that browsers send by themselves, else the query's `last_event_id`; None where both are empty."""
    return request.headers.get("last-event-id") or request.query_params.get("last_event_id") or None


async def json_object(request: Request, settings: GatewaySettings) -> dict[str, Any]:
    """The body, which must be a JSON object, arrive in time and stay below the limit."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # Not only tidiness: a page of another site can send a form without asking, but not this.
        raise Problem(415, "Send the body with `Content-Type: application/json`.")
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            body = await _bytes(request, settings.max_body_bytes)
    except TimeoutError as error:
        raise Problem(408, f"The body did not arrive within {settings.body_timeout_seconds:g} seconds.") from error
    except ClientDisconnect as error:
        raise Problem(400, "The request ended before its body did.") from error
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_field("body", "should be a JSON object")
    if rb"\u0000" in body:
        for name, each in value.items():
            if _has_nul([name, each]):
                raise bad_field(name.replace("\0", "\\0"), "has U+0000, which databases do not hold")
    return value


def _has_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str) and "\0" in each:
            return True
    return False


async def _bytes(request: Request, limit: int) -> bytes:
    """What is too much is thrown away as it comes, up to a bound: who is cut off in mid-body never sees the answer."""
    announced = request.headers.get("content-length", "")
    asks_first = "expect" in request.headers  # and sends nothing without our word
    most = limit if asks_first else limit * _THROWN_AWAY
    body, size = bytearray(), 0
    if not (announced.isdecimal() and int(announced) > most):
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                body += chunk
            elif size > most:
                break
        if size <= limit:
            return bytes(body)
    raise Problem(413, f"The body is larger than {limit} bytes.", headers={"Connection": "close"})
