"""What a generate call asks for, or why it is refused. Pure."""

from math import isfinite
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rendercast.simulator.jobs import BEHAVIOURS, Behaviour, Kind, Order
from rendercast.simulator.models import MODELS, SORA, SORA_ASPECT_RATIOS, STYLE_PREFIX
from rendercast.simulator.objects import Json
from schemas.base import FileId

MAX_BATCH = 10
_DIGITS = r"^\d+(\.\d+)?$"
Number = int | float | Annotated[str, Field(pattern=_DIGITS)]
"""Newer deployments write numbers, older ones texts."""


class Refused(Exception):
    """An answer that is not 2xx, with its body."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


class _Config(BaseModel):
    """`params` and the fields of older deployments that stand beside it."""

    model_config = ConfigDict(extra="allow")

    prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    generation_config_name: str
    params: dict[str, Any] = {}
    negative_prompt: str | None = None
    seed: int | None = None
    references: list[Any] = []
    width: Number | None = None
    height: Number | None = None
    duration: Number | None = None
    fps: Number | None = None
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 1

    def get(self, name: str) -> Any:
        """A parameter, from `params` or from beside it."""
        return self.params.get(name, (self.model_extra or {}).get(name, getattr(self, name, None)))


class GenerateBody(BaseModel):
    """The body of a generate call. The ids are the simulator's own extension: they go into its record."""

    config: _Config
    project_id: FileId | None = None
    user_id: str | None = None
    request_id: str | None = None

    def orders(self, kind: Kind, flow: str = "") -> list[Order]:
        """One order per file. Raises Refused."""
        config = self.config
        model = MODELS.get(config.generation_config_name)
        if model is None or model.kind != kind:
            raise _refused_field(
                "generation_config_name", f"No {kind} model is called {config.generation_config_name!r}"
            )
        if not str(config.get("style_name") or STYLE_PREFIX).startswith(STYLE_PREFIX):
            raise Refused(400, {"detail": "Invalid payload"})
        if model.name == SORA:
            _check_sora(config.get("aspect_ratio"))
        behaviour = behaviour_of(config.prompt)
        if model.needs_reference and not (config.references or config.get("references")):
            behaviour = "fails"
        order = Order(
            kind=kind, behaviour=behaviour, prompt=config.prompt, model=model.name, flow=flow,
            aspect_ratio=_text(config.get("aspect_ratio")), duration=_number(config.get("duration")),
            request_id=self.request_id,
        )  # fmt: skip
        return [order] * (_batch_size(config) if kind == "image" else 1)


def read_body(shape: type[BaseModel], body: object) -> Any:
    """The body in its shape. Raises Refused with 422 in FastAPI's form."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise Refused(422, {"detail": [_plain(each) for each in found]}) from error


def behaviour_of(prompt: str) -> Behaviour:
    """The behaviour that a prompt asks for by its first word: `fails: a red car`."""
    word = prompt.partition(":")[0].strip()
    return next((each for each in BEHAVIOURS if each == word), "plain")


def _plain(found: Any) -> Json:
    context = {name: str(value) for name, value in found.get("ctx", {}).items()}
    return {
        "type": found["type"], "loc": ["body", *found["loc"]], "msg": found["msg"], "input": found["input"],
    } | ({"ctx": context} if context else {})  # fmt: skip


def _refused_field(name: str, message: str, detail: str = "Validation error") -> Refused:
    """The second shape of 422: a text, and the fields beside it."""
    return Refused(422, {"detail": detail, "errors": [{"field": f"config.{name}", "message": message}]})


def _check_sora(aspect_ratio: object) -> None:
    if aspect_ratio in SORA_ASPECT_RATIOS:
        return
    kind = type(aspect_ratio).__name__
    message = (
        f"Input should be '1:1', '16:9' or '9:16' [type=literal_error, input_value={aspect_ratio!r}, input_type={kind}]"
    )
    detail = f"1 validation error for SoraVideoConfig\naspect_ratio\n  {message}"
    raise _refused_field("params.aspect_ratio", message, detail)


def _batch_size(config: _Config) -> int:
    found = _number(config.get("batch_size"))
    if found is None or found != int(found) or not 1 <= found <= MAX_BATCH:
        raise _refused_field("params.batch_size", f"Input should be an integer from 1 to {MAX_BATCH}")
    return int(found)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if isfinite(found) else None
