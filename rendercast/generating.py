"""The gateway's generator: the upstream's client, its answers in the gateway's words."""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from math import ceil
from types import TracebackType
from typing import Self

import structlog

from connectors.gateway.errors import Problem, bad_field
from connectors.gateway.generate import Begun, Generated, MayHaveBegun, Wanted
from connectors.gateway.models import Model, Models, Param
from connectors.upstream import models as upstream
from connectors.upstream.budget import Budget
from connectors.upstream.client import UpstreamClient
from connectors.upstream.errors import Refused, TooMany, Trouble, Unauthorized
from connectors.upstream.generation import GenerateRequest, WrongParams
from connectors.upstream.orders import Orders
from connectors.upstream.settings import ConnectorSettings

log = structlog.get_logger()

_CONFLICT, _TOO_MANY, _BAD_GATEWAY, _UNAVAILABLE, _TIMEOUT = 409, 429, 502, 503, 504
_FIELDS = {"generation_config_name": "model"}


class UpstreamGenerator:
    """Asks the upstream with the server's token, in this process's own budget. Use it with `async with`."""

    def __init__(self, settings: ConnectorSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._orders: Orders

    async def __aenter__(self) -> Self:
        client = UpstreamClient(self._settings, Budget(self._settings))
        self._orders = Orders(await self._stack.enter_async_context(client), max_batch=self._settings.max_batch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def generate(self, kind: Generated, wanted: Wanted) -> Sequence[Begun]:
        request = GenerateRequest.model_validate(wanted.model_dump(include=set(Wanted.model_fields)))
        try:
            found = await self._orders.generate(kind, request)
        except Refused as error:
            raise _of_refusal(error, request.params) from error
        except Trouble as error:
            log.warning("not generated", kind=kind, cause=error.cause, began_nothing=error.began_nothing)
            raise _of_trouble(error) from error
        return [Begun.model_validate(each.model_dump()) for each in found]

    async def models(self, kind: Generated) -> Models:
        try:
            found = await self._orders.models(kind)
        except Trouble as error:
            raise _of_trouble(error) from error
        return Models(are_all=found.are_all, models=tuple(_told(each) for each in found.by_name.values()))


def generator(settings: ConnectorSettings) -> UpstreamGenerator | None:
    """None where there is no token to ask the upstream with."""
    return UpstreamGenerator(settings) if settings.token.get_secret_value() else None


def _told(model: upstream.Model) -> Model:
    params = {name: Param.model_validate(asdict(rule)) for name, rule in model.rules.items()}
    return Model(name=model.name, sorts=model.sorts, params=params)


def _of_refusal(error: Refused, params: Collection[str]) -> Problem:
    """The field as our body names it, with the upstream's words."""
    if isinstance(error, WrongParams):
        return Problem(422, str(error), errors=[each._asdict() for each in error.wrong])
    if error.facts.get("status") == _CONFLICT:
        return Problem(_UNAVAILABLE, f"The upstream says: {error}. Nothing has begun.", headers={"Retry-After": "2"})
    inner = error.field.removeprefix("config.")
    field = _FIELDS.get(inner, inner)
    if field in params and field not in Wanted.model_fields:
        field = f"params.{field}"  # a deployment whose parameters stand beside the prompt
    words = str(error).removeprefix(f"{error.field}: ")
    return bad_field(field, words) if field else Problem(422, f"The upstream refuses this: {words}")


def _of_trouble(error: Trouble) -> Problem:
    headers = {} if error.after is None else {"Retry-After": str(max(1, ceil(error.after)))}
    if isinstance(error, TooMany):
        status = _TOO_MANY if error.facts.get("status") == _TOO_MANY else _UNAVAILABLE
        return Problem(status, "The upstream asks for a pause. Nothing has begun.", headers=headers)
    if isinstance(error, Unauthorized):
        return Problem(_BAD_GATEWAY, "The upstream refuses this server; an operator must act.", headers=headers)
    if error.began_nothing:
        status = _BAD_GATEWAY if "status" in error.facts else _UNAVAILABLE
        return Problem(status, f"The upstream cannot be asked ({error.cause}). Nothing has begun.", headers=headers)
    status = _TIMEOUT if error.cause == "silent" or error.facts.get("status") in {504, 524} else _BAD_GATEWAY
    return MayHaveBegun(
        status,
        f"The upstream did not answer as it should ({error.cause}). It may have begun: to ask again may cost twice.",
        headers=headers,
    )
