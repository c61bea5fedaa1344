"""Requests to generate: checked here, so that what the upstream would choke on never leaves. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from connectors.upstream.errors import Refused
from connectors.upstream.parameters import Wrong
from connectors.upstream.parser import Endpoint
from schemas.base import Name, Record, Text

SORA = "azure-openai/sora"
SORA_RATIOS = ("1:1", "16:9", "9:16")

RATIO = "aspect_ratio"
_ALMOST_RATIO = re.compile(r"asp\w*rat\w*", re.IGNORECASE)


class WrongParams(Refused):
    """Parameters that are not as they should be: all of them, the first one as `field`."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        first, *more = wrong
        super().__init__(first.field, "; ".join([first.message, *(f"{each.field}: {each.message}" for each in more)]))
        self.wrong = tuple(wrong)


class GenerateRequest(Record):
    """What is to be generated: `model` is the upstream's `generation_config_name`."""

    model: Name
    prompt: Text
    params: dict[str, Any] = Field(default_factory=dict)
    negative_prompt: Text | None = None
    seed: int | None = None
    references: tuple[Any, ...] | None = None

    def body(self) -> dict[str, Any]:
        """The call's JSON: everything inside `config`. Raises Refused, naming the field."""
        for each in self.params:
            if each != RATIO and _ALMOST_RATIO.fullmatch(each):
                raise Refused(f"params.{each}", f"there is no such parameter; it is called {RATIO}")
        ratio = self.params.get(RATIO)
        if self.model == SORA and ratio not in SORA_RATIOS:
            raise Refused(f"params.{RATIO}", f"{SORA} takes {', '.join(SORA_RATIOS)}; this is {ratio!r}")
        config = self.model_dump(exclude={"model"}, exclude_none=True) | {"generation_config_name": self.model}
        return {"config": config}


def endpoint(kind: str) -> Endpoint:
    """The call that generates media of a kind. Raises Refused where there is none."""
    if kind == "image":
        return "generate-image"
    if kind == "video":
        return "generate-video"
    raise Refused("kind", f"image or video can be generated, not {kind!r}")
