"""What is known of the upstream's models, for whoever fills in a form."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.base import Name

Scalar = str | int | float | bool


class Param(BaseModel):
    """A parameter, as far as the upstream's list says something of it that can be read."""

    model_config = ConfigDict(frozen=True)

    types: tuple[str, ...] = Field(default=(), description="string, integer, number, boolean, array, object")
    options: tuple[Scalar, ...] = Field(default=(), description="it must be one of these")
    minimum: int | float | None = None
    maximum: int | float | None = None
    default: Scalar | None = None
    needed: bool = Field(default=False, description="the model has no value of its own")


class Model(BaseModel):
    """One model; the sorts are those of the upstream's lists, such as `text_to_video`."""

    model_config = ConfigDict(frozen=True)

    name: Name
    sorts: tuple[str, ...]
    params: dict[str, Param] = Field(default_factory=dict)


class Models(BaseModel):
    """The models of a kind. Where they are not all, others are passed on as well: the upstream decides."""

    model_config = ConfigDict(frozen=True)

    are_all: bool
    models: tuple[Model, ...] = ()
