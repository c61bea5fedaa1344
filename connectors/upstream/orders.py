"""Generate calls as somebody means them who clicks once: a model that exists, parameters that it takes, and no second
call that could begin a second generation.
"""

import asyncio
from collections.abc import Callable

import structlog

from connectors.upstream.catalog import Catalog
from connectors.upstream.client import UpstreamClient
from connectors.upstream.errors import Refused, Trouble
from connectors.upstream.generation import GenerateRequest, WrongParams
from connectors.upstream.models import Models
from connectors.upstream.parameters import wrong_params
from connectors.upstream.parser import Generated

log = structlog.get_logger()

TRIES = 3
PAUSE_SECONDS = 0.2
"""Before the second try; it doubles."""

_CONFLICT = 409


class Orders:
    """The client's generate calls, checked against the upstream's list of models, and repeated where that is safe."""

    def __init__(
        self, client: UpstreamClient, clock: Callable[[], float] | None = None, *, max_batch: int = 10
    ) -> None:
        self._client, self._max_batch = client, max_batch
        self._catalog = Catalog(client, clock)

    async def models(self, kind: str) -> Models:
        """What is known of the upstream's models. Raises Unauthorized where it refuses the token."""
        return await self._catalog.models(kind)

    async def generate(self, kind: str, request: GenerateRequest) -> tuple[Generated, ...]:
        """As the client's. Repeated are a 409, by which nothing has begun, and a host that could not be reached."""
        request.body()  # what can be refused without asking anybody
        await self._check(kind, request)
        tries = 0
        while True:
            tries += 1
            try:
                return await self._client.generate(kind, request)
            except (Refused, Trouble) as error:
                if tries == TRIES or not _is_safe_to_repeat(error):
                    raise
                log.info("generate call repeated", kind=kind, error=str(error))
            await asyncio.sleep(PAUSE_SECONDS * 2 ** (tries - 1))

    async def _check(self, kind: str, request: GenerateRequest) -> None:
        """Raises Refused for a model that is not on the list, or a parameter that is not as it should be."""
        found = await self._catalog.models(kind, request.model)
        model = found.by_name.get(request.model)
        if model is None and found.are_all:
            known = ", ".join(sorted(found.by_name))
            raise Refused("model", f"the upstream has no {kind} model {request.model!r}; it has {known}")
        wrong = wrong_params(request.params, {} if model is None else model.rules, self._max_batch)
        if wrong:
            raise WrongParams(wrong)


def _is_safe_to_repeat(error: Refused | Trouble) -> bool:
    if isinstance(error, Refused):
        return error.facts.get("status") == _CONFLICT
    return error.cause == "unreachable"
