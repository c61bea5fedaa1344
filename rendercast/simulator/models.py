"""The models that `generation-config` lists."""

from typing import Literal, NamedTuple

from rendercast.simulator.jobs import Kind
from rendercast.simulator.objects import Json

ModelType = Literal["text_to_image", "image_to_image", "text_to_video", "image_to_video"]


class Model(NamedTuple):
    """A generation config. One that begins with an image fails without a reference."""

    name: str
    type: ModelType
    source: str

    @property
    def kind(self) -> Kind:
        return "video" if self.type.endswith("video") else "image"

    @property
    def needs_reference(self) -> bool:
        return self.type.startswith("image")

    def json(self) -> Json:
        return {"name": self.name, "label": self.name, "type": self.type, "source": self.source, "params": {}}


SORA = "azure-openai/sora"
SORA_ASPECT_RATIOS = ("1:1", "16:9", "9:16")
STYLE_PREFIX = "flux_"
MODELS = {
    each.name: each
    for each in (
        Model("comfyui/flux", "text_to_image", "local"),
        Model("google-cloud/imagen4", "text_to_image", "google"),
        Model("azure-openai/gpt-image-1", "text_to_image", "azure"),
        Model("comfyui/flux/inpainting", "image_to_image", "local"),
        Model("comfyui/ltx", "text_to_video", "local"),
        Model(SORA, "text_to_video", "azure"),
        Model("google-cloud/veo3-text2video", "text_to_video", "google"),
        Model("google-cloud/veo3", "image_to_video", "google"),
        Model("fal-ai/kling-video/v2.1/standard/image-to-video", "image_to_video", "fal"),
    )
}
