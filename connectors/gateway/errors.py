"""What a client is told when something is wrong: problem details (RFC 9457) that name the field."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import orjson
import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from schemas.base import UUID_PATTERN
from schemas.errors import RetryLater

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 2
FieldError = Mapping[str, str]


class Problem(Exception):
    """An answer that is an error: its status, what is wrong in words, which fields are wrong, other members."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, headers
        self.members = members

    def response(self) -> Response:
        body: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = self.errors
        body |= self.members or {}
        return Response(
            orjson.dumps(body),
            self.status,
            {"Cache-Control": "no-store", **(self.headers or {})},
            media_type="application/problem+json",
        )


def bad_field(field: str, message: str) -> Problem:
    """422 for one field."""
    return Problem(422, f"{field}: {message}", errors=[{"field": field, "message": message}])


def bad_fields(error: ValidationError, root: str) -> Problem:
    """422 with one entry for each field that pydantic refused; what is wrong as a whole is said of `root`."""
    errors = [
        {"field": ".".join(str(part) for part in found["loc"]) or root, "message": _words(found)}
        for found in error.errors(include_url=False, include_input=False)
    ]
    return Problem(422, "; ".join(f"{each['field']}: {each['message']}" for each in errors), errors=errors)


def _words(found: Mapping[str, object]) -> str:
    context = found.get("ctx")
    if isinstance(context, Mapping) and context.get("pattern") == UUID_PATTERN:
        return "should be a UUID"
    if found["type"] == "value_error" and isinstance(context, Mapping):
        return str(context["error"])
    return str(found["msg"])


def try_later(detail: str, after: float | None = None) -> Problem:
    """503 with Retry-After, in whole seconds."""
    return Problem(503, detail, headers={"Retry-After": str(math.ceil(after or RETRY_AFTER_SECONDS))})


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.scope['path']}: {error.detail}"
    return Problem(error.status_code, detail, headers=error.headers).response()


async def _on_retry_later(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RetryLater)
    return try_later(str(error), error.after).response()


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("request failed", method=request.method, path=request.scope["path"], error=repr(error))
    return Problem(500, "The gateway failed on this request; its log says more.").response()


HANDLERS = {
    Problem: _on_problem,
    HTTPException: _on_http_exception,
    RetryLater: _on_retry_later,
    Exception: _on_bug,
}
"""For Starlette. The last one's exception goes on to the server, which logs it with its stack."""
