"""What can be asked to be generated, and of whom."""

from collections.abc import Sequence
from hashlib import sha256
from types import TracebackType
from typing import Annotated, Any, Literal, Protocol, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.gateway.errors import Problem
from connectors.gateway.models import Models
from schemas.base import ChatRef, FileId, Kind, Name, Text

Generated = Literal["image", "video"]


class Wanted(BaseModel):
    """What is to be generated, as the upstream will be asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Name
    prompt: Annotated[Text, Field(min_length=1)]
    params: dict[str, Any] = Field(default_factory=dict)
    negative_prompt: Text | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    references: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        try:
            self.digest()
        except (orjson.JSONEncodeError, ValueError) as error:
            raise ValueError("params and references: nested too deeply") from error
        return self

    def digest(self) -> bytes:
        """The same for the same request, in whatever order its fields came."""
        return sha256(orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)).digest()


class GenerateBody(Wanted):
    """The body of `POST /api/generate/…`. `request_id` marks the generation; without one it is made here."""

    request_id: Name | None = None
    project_id: Name | None = None
    user_id: Name | None = None
    chat: ChatRef | None = None
    deadline_seconds: float | None = Field(default=None, gt=0, le=7 * 86_400)


class ModelsQuery(BaseModel):
    """`GET /api/models?kind=…`."""

    model_config = ConfigDict(frozen=True)

    kind: Generated


class Begun(BaseModel):
    """A file that the upstream has begun."""

    model_config = ConfigDict(frozen=True)

    file_id: FileId
    kind: Kind
    project_id: Name | None = None
    upstream_generation_id: Name | None = None


class MayHaveBegun(Problem):
    """The upstream was asked, and nobody knows whether it has begun: asking again may cost a second generation."""


class Generator(Protocol):
    """The upstream, as the gateway sees it. It is open while the gateway runs."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def generate(self, kind: Generated, wanted: Wanted) -> Sequence[Begun]:
        """The files of one call, one or more. Raises MayHaveBegun, or another Problem where nothing has begun."""

    async def models(self, kind: Generated) -> Models:
        """What is known of the models. Raises Problem where the upstream refuses this server."""
