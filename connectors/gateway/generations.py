"""Begin to generate, once for each click, and answer when Kafka has the command to follow each file."""

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from connectors.gateway import metrics
from connectors.gateway.errors import Problem, bad_field, try_later
from connectors.gateway.generate import Begun, GenerateBody, Generated, Generator, MayHaveBegun
from connectors.gateway.models import Models
from schemas import Track, utcnow
from schemas.errors import RetryLater

log = structlog.get_logger()

KEEP_SECONDS = 600.0
"""How long a key is remembered."""

MAX_KEYS = 10_000
_Key = tuple[str, str]
"""Whose it is, and what they called it."""


@dataclass(eq=False, slots=True)
class _Order:
    """One click, and how far it has come."""

    kind: Generated
    body: GenerateBody
    generation: str
    at: float
    begun: Sequence[Begun] = ()
    running: asyncio.Task[dict[str, Any]] = field(init=False)

    def has_begun_nothing(self) -> bool:
        """Whether it has ended so that a repeat is a new click. After an error nobody expected it is not."""
        error = self.running.exception() if self.has_failed() else None
        return not self.begun and isinstance(error, Problem) and not isinstance(error, MayHaveBegun)

    def is_to_be_followed(self) -> bool:
        """Whether files have begun that nobody follows."""
        return self.has_failed() and bool(self.begun)

    def has_failed(self) -> bool:
        return self.running.done() and not self.running.cancelled() and self.running.exception() is not None


class Generations:
    """Orders by their key. A repeat joins its order; if that has begun files and could not tell Kafka, it does so now.

    A key is remembered for a while, by this process. When too many are, the oldest that has ended is forgotten.
    """

    def __init__(
        self,
        generator: Generator | None,
        send: Callable[[Track], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._generator, self._send, self._clock, self._max_keys = generator, send, clock, max_keys
        self._orders: OrderedDict[_Key, _Order] = OrderedDict()
        self._tasks: set[asyncio.Task[dict[str, Any]]] = set()

    async def begin(self, kind: Generated, body: GenerateBody, subject: str, key: str | None) -> dict[str, Any]:
        """The body of the answer. What was begun goes on when whoever asked has gone. Raises Problem."""
        generator = self._upstream()
        name = key or body.request_id
        order = self._known((subject, name), kind, body) if name else None
        if order is None:
            order = _Order(kind, body, body.request_id or str(uuid.uuid4()), self._clock())
            if name:
                self._remember((subject, name), order)
            self._start(order, generator)
        else:
            metrics.GENERATE_JOINED.inc()
            if order.is_to_be_followed():
                self._start(order, generator)
        return await asyncio.shield(order.running)

    async def models(self, kind: Generated) -> Models:
        """What is known of the upstream's models. Raises Problem."""
        return await self._upstream().models(kind)

    async def close(self) -> None:
        """End what still runs: there is no time for it any more."""
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _upstream(self) -> Generator:
        if self._generator is None:
            raise Problem(503, "Generating is not configured here (RENDERCAST_CONNECTOR__TOKEN, …__BASE_URL).")
        return self._generator

    def _known(self, key: _Key, kind: Generated, body: GenerateBody) -> _Order | None:
        found = self._orders.get(key)
        if found is None or found.has_begun_nothing() or self._clock() - found.at >= KEEP_SECONDS:
            return None
        if (found.kind, found.body.digest()) != (kind, body.digest()):
            raise bad_field("Idempotency-Key", "came with another request before; a new request needs a new key")
        return found

    def _remember(self, key: _Key, order: _Order) -> None:
        """Raises Problem where there is no room: then nothing may begin."""
        self._orders.pop(key, None)
        for known, each in list(self._orders.items()):
            if order.at - each.at < KEEP_SECONDS and len(self._orders) < self._max_keys:
                break
            if each.running.done():
                del self._orders[known]
        if len(self._orders) >= self._max_keys:
            raise try_later("Too many generations are being begun.")
        self._orders[key] = order

    def _start(self, order: _Order, generator: Generator) -> None:
        order.running = asyncio.create_task(self._work(order, generator))
        self._tasks.add(order.running)
        order.running.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it is told to whoever waits; perhaps nobody does any more

    async def _work(self, order: _Order, generator: Generator) -> dict[str, Any]:
        result = "unsure"
        try:
            if not order.begun:
                order.begun = await generator.generate(order.kind, order.body)
            result = "not_followed"
            await self._follow(order)
            result = "begun"
        except MayHaveBegun:
            raise
        except Problem:
            result = result if order.begun else "refused"
            raise
        finally:
            metrics.GENERATE_CALLS.labels(order.kind, result).inc()
            if result in {"unsure", "not_followed"}:
                files = [each.file_id for each in order.begun]
                log.error("generation not followed", kind=order.kind, generation=order.generation, files=files)
        return _told(order)

    async def _follow(self, order: _Order) -> None:
        """Returns when Kafka has a command for each file. Raises Problem that names them all."""
        sends = [self._send(_track(order, each)) for each in order.begun]
        failures = [each for each in await asyncio.gather(*sends, return_exceptions=True) if each is not None]
        if not failures:
            return
        later = try_later(
            "The upstream has begun, but Kafka has not confirmed that these files will be followed. Send the same "
            "request with the same Idempotency-Key again, or POST each file and its request_id to /api/jobs.",
            failures[0].after if isinstance(failures[0], RetryLater) else None,
        )
        raise Problem(later.status, later.detail, headers=later.headers, members=_told(order)) from failures[0]


def _track(order: _Order, begun: Begun) -> Track:
    body = order.body
    return Track(
        file_id=begun.file_id, kind=begun.kind, request_id=order.generation,
        upstream_generation_id=begun.upstream_generation_id, project_id=body.project_id or begun.project_id,
        user_id=body.user_id, chat=body.chat, prompt=body.prompt, deadline_seconds=body.deadline_seconds,
        issued_at=utcnow(),
    )  # fmt: skip


def _told(order: _Order) -> dict[str, Any]:
    files = []
    for each in order.begun:
        project_id = order.body.project_id or each.project_id
        files.append({
            "file_id": each.file_id, "kind": each.kind, "generation": order.generation,
            **({"project_id": project_id} if project_id else {}),
        })  # fmt: skip
    return {"request_id": order.generation, "files": files}
