"""Begin a turn's generation, once for each key, whichever gateways are asked for it and whichever of them die.

What may have reached the upstream stands in the chat database before it leaves. So a repeat finds the turn and joins
it; where the process that asked has gone without a word, the repeat says so and asks nobody.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

import structlog

from connectors.gateway import metrics
from connectors.gateway.errors import Problem, bad_field, try_later
from connectors.gateway.generate import Begun, Generator, MayHaveBegun
from connectors.gateway.turns import Turn, TurnBody, TurnOrder, Turns, unsure
from schemas import Track, utcnow
from schemas.errors import RetryLater

log = structlog.get_logger()

MAX_RUNNING = 1_000
POLL_SECONDS = 0.5
"""Between two looks at a turn whose upstream another process asks."""

GRACE_SECONDS = 10.0
"""For what comes after the upstream's answer, and for clocks that differ."""

_SAVES = 3
_SAVE_AGAIN_SECONDS = 0.3
_FORSAKEN = 10_000


class TurnOrders:
    """Asks the upstream for turns, and joins repeats to them."""

    def __init__(
        self,
        turns: Turns | None,
        generator: Generator | None,
        send: Callable[[Track], Awaitable[None]],
        wait_seconds: float,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._turns, self._generator, self._send = turns, generator, send
        self._wait_seconds, self._clock = wait_seconds, clock
        self._running: dict[str, asyncio.Task[Turn]] = {}
        self._forsaken: deque[str] = deque(maxlen=_FORSAKEN)
        """Attempts that may stand in the database, and of which the upstream surely was not asked."""

    @property
    def turns(self) -> Turns:
        """Raises Problem 503 where there is no chat database."""
        if self._turns is None:
            raise Problem(503, "No chat database is configured here (RENDERCAST_CHATS__URL).")
        return self._turns

    async def begin(self, body: TurnBody, subject: str, key: str | None) -> tuple[Turn, bool]:
        """The turn with its files, and whether it was there before. It goes on when whoever asked has gone.

        Raises Problem, RetryLater where the database is away: then nothing has begun.
        """
        turns = self.turns
        if self._generator is None:
            raise Problem(503, "Generating is not configured here (RENDERCAST_CONNECTOR__TOKEN, …__BASE_URL).")
        if len(self._running) >= MAX_RUNNING:
            raise try_later("Too many generations are being begun.")
        fresh = self._fresh(body, subject, key or body.request_id)
        found = await self._written(fresh)
        if found.attempt != fresh.attempt and found.digest == fresh.digest and found.attempt in self._forsaken:
            ids = {name: getattr(found, name) for name in ("user_message_id", "message_id", "request_id")}
            fresh = fresh.changed(**ids)
            found = await self._written(fresh, over=found.attempt)
        if found.attempt == fresh.attempt:
            return await asyncio.shield(self._run(found, self._ask(found, body, self._generator))), False
        if found.digest != fresh.digest:
            raise bad_field("Idempotency-Key", "came with another request before; a new request needs a new key")
        metrics.GENERATE_JOINED.inc()
        settled = await self.settled(found, turns)
        if settled.state == "unsure":
            raise unsure(settled)
        return settled, True

    async def find(self, message_id: str) -> Turn:
        """The turn that the message answers, as it is once the upstream has been asked. Raises Problem 404."""
        found = await self.turns.find(message_id)
        if found is None or found.state == "refused":
            raise Problem(404, "No generation of this message is known here.")
        return found

    async def settled(self, turn: Turn, turns: Turns) -> Turn:
        """The turn once it is known what has begun, and its files are followed. Raises Problem where nothing has."""
        while turn.state == "asked":
            running = self._running.get(turn.attempt)
            if running is not None:
                return await asyncio.shield(running)
            if (self._clock() - turn.asked_at).total_seconds() > self._wait_seconds + GRACE_SECONDS:
                await turns.save(turn.changed(state="unsure"), only_asked=True)
            else:
                await asyncio.sleep(POLL_SECONDS)
            later = await turns.find(turn.message_id)
            if later is None:
                raise try_later("This request was refused, and is being begun anew.")
            turn = later
        if turn.state == "refused":
            raise _refusal(turn)
        if turn.state == "begun":
            running = self._running.get(turn.attempt) or self._run(turn, self._follow(turn, turns))
            return await asyncio.shield(running)
        return turn if turn.state == "followed" else await _recovered(turn, turns)

    async def close(self) -> None:
        """End what still runs: there is no time for it any more."""
        running = list(self._running.values())
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _fresh(self, body: TurnBody, subject: str, key: str | None) -> Turn:
        return Turn(
            subject=subject, key=key or str(uuid.uuid4()), digest=body.digest().hex(), attempt=str(uuid.uuid4()),
            chat_id=body.chat_id, user_message_id=str(uuid.uuid4()), message_id=str(uuid.uuid4()),
            request_id=body.request_id or str(uuid.uuid4()), asked_at=self._clock(),
            order=TurnOrder.model_validate(body.model_dump(include=set(TurnOrder.model_fields))),
        )  # fmt: skip

    async def _written(self, fresh: Turn, over: str | None = None) -> Turn:
        try:
            return await self.turns.begin(fresh, over)
        except RetryLater:
            self._forsaken.append(fresh.attempt)  # the commit may have been heard, though its answer was not
            raise

    def _run(self, turn: Turn, work: Coroutine[Any, Any, Turn]) -> asyncio.Task[Turn]:
        task = self._running[turn.attempt] = asyncio.create_task(work)

        def ended(_: object) -> None:
            del self._running[turn.attempt]
            if not task.cancelled():
                task.exception()  # it is told to whoever waits; perhaps nobody does any more

        task.add_done_callback(ended)
        return task

    async def _ask(self, turn: Turn, body: TurnBody, generator: Generator) -> Turn:
        turns, result = self.turns, "unsure"
        try:
            files = await self._asked(generator, body)
            turn = turn.changed(state="begun", files=files)
            await _saved(turn, turns)
            result = "not_followed"
            turn = await self._follow(turn, turns)
            result = "begun"
        except MayHaveBegun as error:
            await _saved(turn.changed(state="unsure", problem=_kept(error)), turns)
            raise Problem(error.status, error.detail, headers=error.headers, members=unsure(turn).members) from error
        except Problem as error:
            if turn.state == "asked":
                result = "refused"
                await _saved(turn.changed(state="refused", problem=_kept(error)), turns)
            raise
        except Exception:
            if turn.state == "asked":
                await _saved(turn.changed(state="unsure"), turns)
            raise
        finally:
            metrics.GENERATE_CALLS.labels(turn.order.kind, result).inc()
            if result in {"unsure", "not_followed"}:
                ids = [each.file_id for each in turn.files]
                log.error("generation not followed", kind=turn.order.kind, files=ids, **turn.names())
        return turn

    async def _asked(self, generator: Generator, body: TurnBody) -> tuple[Begun, ...]:
        try:
            async with asyncio.timeout(self._wait_seconds):
                return tuple(await generator.generate(body.kind, body))
        except TimeoutError as error:
            words = f"The upstream did not answer within {self._wait_seconds:g} seconds. It may have begun."
            raise MayHaveBegun(504, words) from error

    async def _follow(self, turn: Turn, turns: Turns) -> Turn:
        """Returns when Kafka has a command for each file, as often as it is called. Raises Problem that names them."""
        sends = [self._send(each) for each in turn.tracks(self._clock())]
        failures = [each for each in await asyncio.gather(*sends, return_exceptions=True) if each is not None]
        if failures:
            later = try_later(
                "The upstream has begun, but Kafka has not confirmed that these files will be followed. Send the same "
                "request with the same Idempotency-Key again.",
                failures[0].after if isinstance(failures[0], RetryLater) else None,
            )
            files = [{"file_id": each.file_id, "kind": each.kind, "generation": turn.request_id} for each in turn.files]
            members = {**turn.names(), "files": files}
            raise Problem(later.status, later.detail, headers=later.headers, members=members) from failures[0]
        turn = turn.changed(state="followed")
        await _saved(turn, turns)
        return turn


async def _saved(turn: Turn, turns: Turns) -> None:
    """Try it some times. What is not kept is found again: files by their artifacts; else the turn becomes `unsure`."""
    for tries in range(1, _SAVES + 1):
        try:
            await turns.save(turn)
        except (RetryLater, Problem) as error:
            log.warning("turn not kept", state=turn.state, reason=str(error), tries=tries, **turn.names())
        else:
            return
        await asyncio.sleep(_SAVE_AGAIN_SECONDS * tries)


async def _recovered(turn: Turn, turns: Turns) -> Turn:
    """The turn with the files that its message shows: then it has begun, whoever did not live to say so."""
    files = tuple(Begun(file_id=each["file_id"], kind=each["kind"]) for each in await turns.shown(turn))
    return turn.changed(state="followed", files=files) if files else turn


def _kept(error: Problem) -> dict[str, Any]:
    return {
        "status": error.status, "detail": error.detail, "errors": list(error.errors),
        "headers": dict(error.headers or {}),
    }  # fmt: skip


def _refusal(turn: Turn) -> Problem:
    """As whoever asked was told it."""
    kept = turn.problem or {"status": 503, "detail": "Nothing has begun."}
    return Problem(kept["status"], kept["detail"], errors=kept.get("errors", ()), headers=kept.get("headers"))
