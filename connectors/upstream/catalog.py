"""The upstream's models, asked for now and then and held in between."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import structlog

from connectors.upstream.client import UpstreamClient
from connectors.upstream.errors import Trouble, Unauthorized
from connectors.upstream.models import Models, merged, read_models

log = structlog.get_logger()

LIST_SECONDS = 300.0
AGAIN_SECONDS = 10.0
"""Between two questions for a list: a model that is not on it may be new, and the list may be had again."""

PATIENCE_SECONDS = 5.0
SORTS = {"image": ("text_to_image", "image_to_image"), "video": ("text_to_video", "image_to_video")}
_NONE = Models({}, are_all=False)
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class _Held:
    models: Models
    at: float


class Catalog:
    """The models of a kind. A list that cannot be had, or read, is asked for again; what was known serves meanwhile."""

    def __init__(self, client: UpstreamClient, clock: Callable[[], float] | None = None) -> None:
        self._client, self._clock = client, clock
        self._held: dict[str, _Held] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def models(self, kind: str, wanted: str | None = None) -> Models:
        """`wanted` may be so new that it is not in what is held. Raises Unauthorized where the token is refused."""
        held = self._held.get(kind)
        if held is not None and (self._is_fresh(held, wanted) or self._serves_meanwhile(kind, held, wanted)):
            return held.models
        async with self._asking[kind]:
            held = self._held.get(kind)
            if held is None or not self._is_fresh(held, wanted):
                found = await self._ask(kind, _NONE if held is None else held.models)
                held = self._held[kind] = _Held(found, self._now())
        return held.models

    def _is_fresh(self, held: _Held, wanted: str | None) -> bool:
        is_told = held.models.are_all and (wanted is None or wanted in held.models.by_name)
        return self._now() - held.at < (LIST_SECONDS if is_told else AGAIN_SECONDS)

    def _serves_meanwhile(self, kind: str, held: _Held, wanted: str | None) -> bool:
        """While somebody asks the upstream already: nobody waits with what is known, or for what could not be had."""
        is_enough = wanted is None or wanted in held.models.by_name or not held.models.are_all
        return is_enough and self._asking[kind].locked()

    async def _ask(self, kind: str, known: Models) -> Models:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                lists = [read_models(await self._client.generation_configs(each), each) for each in SORTS.get(kind, ())]
        except (Trouble, TimeoutError) as error:
            if isinstance(error, Unauthorized) and error.facts.get("status") == _UNAUTHORIZED:
                raise  # so would the call be answered, after a wait
            log.info("list of models not had", kind=kind, error=str(error))
            return Models(known.by_name, are_all=False)
        found = reduce(merged, lists) if lists else _NONE
        if found.are_all:
            return found
        log.info("list of models not whole", kind=kind, models=len(found.by_name))
        return Models({**known.by_name, **found.by_name}, are_all=False)

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()
