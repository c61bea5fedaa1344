"""The models that `generation-config` lists, and what may be said there of their parameters."""

from typing import Any, Literal, NamedTuple

from rendercast.simulator.jobs import Kind
from rendercast.simulator.objects import Json

ModelType = Literal["text_to_image", "image_to_image", "text_to_video", "image_to_video"]


ParamsForm = Literal["none", "schema", "options"]
"""How the list says what a model's parameters take. How the upstream does is not known."""


class Param(NamedTuple):
    """A parameter."""

    name: str
    type: str
    options: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    default: Any = None

    def json(self, *names: str) -> Json:
        """What is known, under these names for all but the first two."""
        found = zip(names, (list(self.options) or None, self.minimum, self.maximum, self.default), strict=True)
        return {"type": self.type} | {name: each for name, each in found if each is not None}


class Model(NamedTuple):
    """A generation config. One that begins with an image fails without a reference."""

    name: str
    type: ModelType
    source: str
    params: tuple[Param, ...] = ()

    @property
    def kind(self) -> Kind:
        return "video" if self.type.endswith("video") else "image"

    @property
    def needs_reference(self) -> bool:
        return self.type.startswith("image")

    def json(self, form: ParamsForm) -> Json:
        said = {"name": self.name, "label": self.name, "type": self.type, "source": self.source}
        return {**said, "params": _described(self.params, form)}


SORA = "azure-openai/sora"
SORA_ASPECT_RATIOS = ("1:1", "16:9", "9:16")
STYLE_PREFIX = "flux_"
_BATCH = Param("batch_size", "integer", minimum=1, maximum=10, default=1)
_SIDES = tuple(Param(each, "integer", minimum=256, maximum=2048, default=1024) for each in ("width", "height"))
_RATIO = Param("aspect_ratio", "string", options=SORA_ASPECT_RATIOS, default="16:9")
_WIDE = Param("aspect_ratio", "string", options=("16:9", "9:16"), default="16:9")
_SECONDS = Param("duration", "number", minimum=1, maximum=10, default=5)


def _steps(*seconds: int) -> Param:
    return Param("duration", "integer", options=seconds, default=seconds[0])


MODELS = {
    each.name: each
    for each in (
        Model("comfyui/flux", "text_to_image", "local", (*_SIDES, _BATCH)),
        Model("google-cloud/imagen4", "text_to_image", "google", (_RATIO, _BATCH)),
        Model("azure-openai/gpt-image-1", "text_to_image", "azure", (
            Param("size", "string", options=("auto", "1024x1024", "1536x1024", "1024x1536"), default="auto"), _BATCH,
        )),
        Model("comfyui/flux/inpainting", "image_to_image", "local", (_BATCH,)),
        Model("comfyui/ltx", "text_to_video", "local", (_RATIO, _SECONDS)),
        Model(SORA, "text_to_video", "azure", (_RATIO, _steps(5, 10, 15, 20))),
        Model("google-cloud/veo3-text2video", "text_to_video", "google", (_WIDE, _steps(4, 6, 8))),
        Model("google-cloud/veo3", "image_to_video", "google", (_WIDE, _steps(4, 6, 8))),
        Model("fal-ai/kling-video/v2.1/standard/image-to-video", "image_to_video", "fal", (_steps(5, 10),)),
    )
}  # fmt: skip

RUBBISH: tuple[object, ...] = (
    None, "not now", [], {"models": []}, [3, None, {"name": 4}],
    [{"name": "comfyui/ltx", "params": "any"}, {"label": "no name"}],
)  # fmt: skip
"""Answers that are no list of models."""


def _described(params: tuple[Param, ...], form: ParamsForm) -> object:
    match form:
        case "schema":
            named = {each.name: each.json("enum", "minimum", "maximum", "default") for each in params}
            return {"type": "object", "properties": named}
        case "options":
            return [{"name": each.name, **each.json("options", "min", "max", "default")} for each in params]
    return {}
