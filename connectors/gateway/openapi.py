"""The OpenAPI document, made from the routes and the shapes that they check with. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from inspect import cleandoc
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema
from starlette.routing import Route

from connectors.gateway.answers import ProblemDetails

F = TypeVar("F", bound=Callable[..., Any])
Answer = type[BaseModel] | str
"""A shape in JSON, or the media type of something else."""

_REF = "#/components/schemas/{model}"
_PROBLEM = "application/problem+json"
_OF_A_BODY = frozenset((400, 408, 413, 415, 422))
_OF_A_TOKEN = frozenset((401, 403, 429, 503))
_OF_A_PATH = frozenset((404, 422))
_WORDS = {
    400: "The body is not JSON, or broke off.",
    401: "No token, or one that is not valid here.",
    403: "The token does not allow it.",
    404: "There is no such thing here.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON by its content type.",
    422: "A field is wrong; `errors` names it.",
    429: "Too much was asked for; come back after `Retry-After`.",
    502: "The upstream did not answer as it should.",
    503: "Not now; come back after `Retry-After` where it is given.",
    504: "The upstream did not answer in time.",
}


@dataclass(frozen=True)
class Told:
    """What the document says of a handler beyond its docstring. `made_here` are fields of the body that are ours."""

    status: int
    answer: Answer
    body: type[BaseModel] | None = None
    made_here: tuple[str, ...] = ()
    queries: tuple[type[BaseModel], ...] = ()
    headers: Mapping[str, TypeAdapter[Any]] | None = None
    errors: frozenset[int] = frozenset()
    needs_token: bool = True


def told(facts: Told) -> Callable[[F], F]:
    """Mark a handler as a part of the document."""

    def mark(handler: F) -> F:
        handler.__dict__["told"] = facts
        return handler

    return mark


def document(routes: Iterable[Route], paths: Mapping[str, TypeAdapter[Any]], cookie: str) -> dict[str, Any]:
    """All routes whose handlers are marked; `paths` are the shapes of the parts of their paths."""
    found = [(route, each) for route in routes if (each := getattr(route.endpoint, "told", None)) is not None]
    operations: dict[str, dict[str, Any]] = {}
    for route, each in found:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            operation = _operation(route, each, paths, method)
            operations.setdefault(route.path_format, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "rendercast gateway", "version": version("rendercast")},
        "paths": operations,
        "components": {
            "schemas": _schemas(each for _, each in found),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }


def _operation(route: Route, told: Told, paths: Mapping[str, TypeAdapter[Any]], method: str) -> dict[str, Any]:
    names = list(route.param_convertors)
    parameters = [_parameter(name, "path", paths[name].json_schema(), is_required=True) for name in names]
    for query in told.queries:
        schema = query.model_json_schema()
        for name, each in schema["properties"].items():
            parameters.append(_parameter(name, "query", each, is_required=name in schema.get("required", ())))
    for name, shape in (told.headers or {}).items():
        parameters.append(_parameter(name, "header", shape.json_schema(), is_required=False))
    errors = told.errors | (_OF_A_TOKEN if told.needs_token else frozenset())
    errors |= (_OF_A_BODY if told.body else frozenset()) | (_OF_A_PATH if names else frozenset())
    errors |= {422} if parameters else frozenset()
    summary, _, more = cleandoc(route.endpoint.__doc__ or route.name).partition("\n")
    found: dict[str, Any] = {
        "operationId": f"{route.name}_{method.lower()}_{len(names)}",
        "summary": summary,
        "parameters": parameters,
        "responses": {
            str(told.status): {"description": "It worked.", "content": _content(told.answer)},
            **{str(each): _problem(each) for each in sorted(errors)},
        },
        "security": [{"bearer": []}, {"cookie": []}] if told.needs_token else [],
    }
    if more.strip():
        found["description"] = more.strip()
    if told.body is not None:
        schema = {"$ref": _REF.format(model=told.body.__name__)}
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return found


def _parameter(name: str, where: str, schema: dict[str, Any], *, is_required: bool) -> dict[str, Any]:
    found = {"name": name, "in": where, "required": is_required, "schema": _without_null(schema)}
    return found | ({"description": schema["description"]} if "description" in schema else {})


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """In a query or a header nothing can be null: what is absent is not there."""
    options: list[dict[str, Any]] = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) == 1:
        return options[0]
    return {key: value for key, value in schema.items() if key not in {"title", "description"}}


def _content(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, str):
        return {answer: {"schema": {"type": "object" if answer.endswith("json") else "string"}}}
    return {"application/json": {"schema": {"$ref": _REF.format(model=answer.__name__)}}}


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _WORDS[status],
        "content": {_PROBLEM: {"schema": {"$ref": _REF.format(model=ProblemDetails.__name__)}}},
    }
    if status in {429, 503}:
        found["headers"] = {"Retry-After": {"description": "in seconds", "schema": {"type": "string"}}}
    return found


def _schemas(all_told: Iterable[Told]) -> dict[str, Any]:
    shapes: dict[type[BaseModel], Sequence[str]] = {ProblemDetails: ()}
    for each in all_told:
        if each.body is not None:
            shapes[each.body] = each.made_here
        if not isinstance(each.answer, str):
            shapes.setdefault(each.answer, ())
    _, found = models_json_schema([(shape, "validation") for shape in shapes], ref_template=_REF)
    schemas: dict[str, Any] = found["$defs"]
    for shape, made_here in shapes.items():
        schema = schemas[shape.__name__]
        schema["properties"] = {name: each for name, each in schema["properties"].items() if name not in made_here}
        schema["required"] = [name for name in schema.get("required", ()) if name not in made_here]
    return schemas
