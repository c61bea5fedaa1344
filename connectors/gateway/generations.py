"""Begin to generate, once for each key, whichever gateways are asked for it and whichever of them die.

What may have reached the upstream stands in the chat database before it leaves; without one, in memory. So a repeat
finds the order and joins it; where the process that asked has gone without a word, the repeat says so and asks nobody.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.gateway import metrics
from connectors.gateway.errors import Problem, bad_field, try_later
from connectors.gateway.generate import Begun, GenerateBody, Generated, Generator, MayHaveBegun, Wanted
from connectors.gateway.models import Models
from connectors.gateway.orders import AnyOrder, Facts, Order, Orders, as_told, kept
from connectors.gateway.orders_here import OrdersHere
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.turns import Turn, TurnBody, Turns
from connectors.gateway.unsaved import Unsaved
from schemas import Track, utcnow
from schemas.errors import RetryLater

log = structlog.get_logger()

MAX_RUNNING = 1_000
POLL_SECONDS = 0.5
"""Between two looks at an order whose upstream another process asks."""

GRACE_SECONDS = 30.0
"""For the database before and after the upstream's answer, and for clocks that differ."""

_FORSAKEN = 10_000


class Generations:
    """Asks the upstream, and joins repeats to what was asked."""

    def __init__(
        self,
        settings: GatewaySettings,
        generator: Generator | None,
        send: Callable[[Track], Awaitable[None]],
        turns: Turns | None = None,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._settings, self._generator, self._send, self._clock = settings, generator, send, clock
        self._turns, self._here = turns, OrdersHere(settings.generate_wait_seconds)
        self._unsaved = Unsaved(self._orders)
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._forsaken: deque[str] = deque(maxlen=_FORSAKEN)
        """Attempts that may stand in the database as asked, and by which surely nothing has begun."""

    @property
    def turns(self) -> Turns:
        """Raises Problem 503 where there is no chat database."""
        if self._turns is None:
            raise Problem(503, "No chat database is configured here (RENDERCAST_CHATS__URL).")
        return self._turns

    async def models(self, kind: Generated) -> Models:
        """What is known of the upstream's models. Raises Problem."""
        return await self._upstream().models(kind)

    async def begin(self, kind: Generated, body: GenerateBody, subject: str, key: str | None) -> Order:
        """The order with its files, once Kafka has a command for each. It goes on when whoever asked has gone.

        Raises Problem, RetryLater where the database is away: then nothing has begun.
        """
        facts = Facts(kind=kind, **body.model_dump(include=set(Facts.model_fields)))
        order, _ = await self._begun(
            Order(
                subject=subject, key=key or body.request_id, digest=f"{kind}/{body.digest().hex()}",
                attempt=str(uuid.uuid4()), request_id=body.request_id or str(uuid.uuid4()), facts=facts,
                asked_at=self._clock(),
            ),
            body,
        )  # fmt: skip
        return order

    async def begin_turn(self, body: TurnBody, subject: str, key: str | None) -> tuple[Turn, bool]:
        """As `begin`, with messages in the chat database; and whether the turn was there before."""
        facts = Facts.model_validate(body.model_dump(include=set(Facts.model_fields)))
        _ = self.turns  # or a Problem that names the setting
        turn = Turn(
            subject=subject, key=key or body.request_id or str(uuid.uuid4()), digest=body.digest().hex(),
            attempt=str(uuid.uuid4()), request_id=body.request_id or str(uuid.uuid4()), facts=facts,
            asked_at=self._clock(), chat_id=body.chat_id, user_message_id=str(uuid.uuid4()),
            message_id=str(uuid.uuid4()),
        )  # fmt: skip
        return await self._begun(turn, body)

    async def find(self, message_id: str) -> Turn:
        """The turn that the message answers, as it is once the upstream has been asked. Raises Problem 404."""
        found = await self.turns.find(message_id)
        if found is None or found.state == "refused":
            raise Problem(404, "No generation of this message is known here.")
        return found

    async def settled(self, order: AnyOrder) -> AnyOrder:
        """The order once it is known what has begun, and its files are followed. Raises Problem where nothing has."""
        orders = self._orders(order)
        if order.state == "unsure":  # another gateway may think so of what is still asked here
            order = await self._known_here(order)
        while order.state == "asked":
            order = await self._known_here(order)
            if order.state != "asked":
                break
            if (self._clock() - order.asked_at).total_seconds() > self._settings.generate_wait_seconds + GRACE_SECONDS:
                await orders.save(order.changed(state="unsure"), only_asked=True)
            else:
                await asyncio.sleep(POLL_SECONDS)
            later = await orders.again(order)
            if later is None:
                raise try_later("This request was refused, and is being begun anew.")
            order = later
        if order.state == "refused":
            raise as_told(order)
        if order.state == "begun":
            following = self._running.get(order.attempt) or self._run(order, self._follow(order))
            order = await asyncio.shield(following)
        return order

    async def _known_here(self, order: AnyOrder) -> AnyOrder:
        """What this gateway knows of it that the database does not, once what runs here has ended. Raises Problem."""
        if order.attempt in self._running:
            told: AnyOrder = await asyncio.shield(self._running[order.attempt])
            return told
        return self._unsaved.known(order)

    async def close(self) -> None:
        """End what still runs: there is no time for it any more."""
        running = list(self._running.values())
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._unsaved.close()

    def _upstream(self) -> Generator:
        if self._generator is None:
            raise Problem(503, "Generating is not configured here (RENDERCAST_CONNECTOR__TOKEN, …__BASE_URL).")
        return self._generator

    def _orders(self, order: Order) -> Orders:
        """Where it is kept. A request without a key comes once: no database has to be there for it."""
        return self._here if self._turns is None or order.key is None else self._turns

    async def _begun(self, fresh: AnyOrder, wanted: Wanted) -> tuple[AnyOrder, bool]:
        generator = self._upstream()
        if len(self._running) >= MAX_RUNNING:
            raise try_later("Too many generations are being begun.")
        found = await self._written(fresh)
        if found.attempt != fresh.attempt and found.digest == fresh.digest and found.attempt in self._forsaken:
            fresh = fresh.changed(**found.names())
            found = await self._written(fresh, over=found.attempt)
        if found.attempt == fresh.attempt:
            asked: AnyOrder = await asyncio.shield(self._run(fresh, self._ask(fresh, wanted, generator)))
            return asked, False
        if found.digest != fresh.digest or not isinstance(found, type(fresh)):
            raise bad_field("Idempotency-Key", "came with another request before; a new request needs a new key")
        metrics.GENERATE_JOINED.inc()
        joined = await self.settled(found)
        if joined.state == "unsure":
            raise as_told(joined)
        return joined, True

    async def _written(self, fresh: Order, over: str | None = None) -> Order:
        forget_before = fresh.asked_at - timedelta(seconds=self._settings.generate_keys_for_seconds)
        try:
            return await self._orders(fresh).begin(fresh, forget_before=forget_before, over=over)
        except RetryLater:
            self._forsaken.append(fresh.attempt)  # the commit may have been heard, though its answer was not
            raise

    def _run(self, order: AnyOrder, work: Coroutine[Any, Any, AnyOrder]) -> asyncio.Task[AnyOrder]:
        task = self._running[order.attempt] = asyncio.create_task(work)

        def ended(_: object) -> None:
            del self._running[order.attempt]
            if not task.cancelled():
                task.exception()  # it is told to whoever waits; perhaps nobody does any more

        task.add_done_callback(ended)
        return task

    async def _ask(self, order: AnyOrder, wanted: Wanted, generator: Generator) -> AnyOrder:
        result = "unsure"
        try:
            order = order.changed(state="begun", files=await self._asked(order.facts.kind, wanted, generator))
            await self._unsaved.save(order)
            result = "not_followed"
            order = await self._follow(order)
            result = "begun"
        except MayHaveBegun as error:
            order = order.changed(state="unsure", problem=kept(error))
            await self._unsaved.save(order)
            raise as_told(order) from error
        except Problem as error:
            if order.state == "asked":
                result = "refused"
                if not await self._unsaved.save(order.changed(state="refused", problem=kept(error))):
                    self._forsaken.append(order.attempt)
            raise
        except Exception:
            if order.state == "asked":
                await self._unsaved.save(order.changed(state="unsure"))
            raise
        finally:
            metrics.GENERATE_CALLS.labels(order.facts.kind, result).inc()
            if result in {"unsure", "not_followed"}:
                files = [each.file_id for each in order.files]
                log.error("generation not followed", kind=order.facts.kind, files=files, **order.names())
        return order

    async def _asked(self, kind: Generated, wanted: Wanted, generator: Generator) -> tuple[Begun, ...]:
        seconds = self._settings.generate_wait_seconds
        try:
            async with asyncio.timeout(seconds):
                return tuple(await generator.generate(kind, wanted))
        except TimeoutError as error:
            words = f"The upstream did not answer within {seconds:g} seconds. It may have begun."
            raise MayHaveBegun(504, words) from error

    async def _follow(self, order: AnyOrder) -> AnyOrder:
        """Returns when Kafka has a command for each file, as often as it is called. Raises Problem that names them."""
        sends = [self._send(each) for each in order.tracks(self._clock())]
        failures = [each for each in await asyncio.gather(*sends, return_exceptions=True) if each is not None]
        if failures:
            later = try_later(
                "The upstream has begun, but Kafka has not confirmed that these files will be followed. Send the same "
                "request with the same Idempotency-Key again, or POST each file with its request_id and chat to "
                "/api/jobs.",
                failures[0].after if isinstance(failures[0], RetryLater) else None,
            )
            raise Problem(later.status, later.detail, headers=later.headers, members=order.told()) from failures[0]
        order = order.changed(state="followed")
        await self._unsaved.save(order)
        return order
