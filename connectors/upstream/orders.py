"""Generate calls as somebody means them who clicks once: a model that exists, and no second call that could begin a
second generation.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from connectors.upstream.client import UpstreamClient
from connectors.upstream.errors import Refused, Trouble, Unauthorized
from connectors.upstream.generation import GenerateRequest
from connectors.upstream.parser import Generated

log = structlog.get_logger()

TRIES = 3
PAUSE_SECONDS = 0.2
"""Before the second try; it doubles."""

LIST_SECONDS = 300.0
AGAIN_SECONDS = 10.0
"""Between two questions for a list: a model that is not on it may be new, and the list may be had again."""

PATIENCE_SECONDS = 5.0
_SORTS = {"image": ("text_to_image", "image_to_image"), "video": ("text_to_video", "image_to_video")}
_CONFLICT, _UNAUTHORIZED = 409, 401


@dataclass(frozen=True, slots=True)
class _List:
    """The models of a kind; no names where a part of it could not be had, or was empty."""

    names: frozenset[str]
    at: float


class Orders:
    """The client's generate calls, checked against the upstream's list of models, and repeated where that is safe."""

    def __init__(self, client: UpstreamClient, clock: Callable[[], float] | None = None) -> None:
        self._client = client
        self._clock = clock
        self._lists: dict[str, _List] = {}
        self._asking = asyncio.Lock()

    async def generate(self, kind: str, request: GenerateRequest) -> tuple[Generated, ...]:
        """As the client's. Repeated are a 409, by which nothing has begun, and a host that could not be reached."""
        request.body()  # what can be refused without asking anybody
        await self._require_model(kind, request.model)
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

    async def _require_model(self, kind: str, model: str) -> None:
        """Raises Refused for a model that is not on the list. Where there is no list the upstream decides."""
        async with self._asking:
            found = self._lists.get(kind)
            age = LIST_SECONDS if found is None else self._now() - found.at
            missed = found is not None and model not in found.names and age >= AGAIN_SECONDS
            if found is None or missed or age >= LIST_SECONDS:
                found = self._lists[kind] = _List(await self._names(kind), self._now())
        if found.names and model not in found.names:
            known = ", ".join(sorted(found.names))
            raise Refused("model", f"the upstream has no {kind} model {model!r}; it has {known}")

    async def _names(self, kind: str) -> frozenset[str]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                lists = [await self._client.generation_configs(sort) for sort in _SORTS.get(kind, ())]
        except (Trouble, TimeoutError) as error:
            if isinstance(error, Unauthorized) and error.facts.get("status") == _UNAUTHORIZED:
                raise  # so would the call be answered, after a wait
            log.info("list of models not had", kind=kind, error=str(error))
            return frozenset()
        names = [_listed(each) for each in lists]
        return frozenset().union(*names) if all(names) else frozenset()

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()


def _is_safe_to_repeat(error: Refused | Trouble) -> bool:
    if isinstance(error, Refused):
        return error.facts.get("status") == _CONFLICT
    return error.cause == "unreachable"


def _listed(answer: bytes) -> list[str]:
    """The names on the list; none where it is not one."""
    try:
        found: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return []
    listed = found if isinstance(found, list) else []
    names = [each.get("name") for each in listed if isinstance(each, dict)]
    return [each for each in names if isinstance(each, str)]
