"""`/api/generate-stream`: begin a turn of a chat and follow it, join it again, cancel it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.gateway import answers, incoming
from connectors.gateway.access import Access, Caller
from connectors.gateway.board import Board
from connectors.gateway.commands import AnyCommand
from connectors.gateway.errors import try_later
from connectors.gateway.generations import Generations
from connectors.gateway.openapi import Told, told
from connectors.gateway.orders import unsure
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.spans import Named, tell_asked
from connectors.gateway.stream import EventStream
from connectors.gateway.subscriber import Subscriber
from connectors.gateway.turn_stream import TurnShape
from connectors.gateway.turns import Turn, TurnBody
from schemas import Cancel, utcnow
from tracing import OFF, Tracing, now

log = structlog.get_logger()

_OF_UPSTREAM = frozenset((502, 504))


class TurnRoutes:
    """The routes, and the streams of turns that are open here."""

    def __init__(
        self,
        settings: GatewaySettings,
        board: Board,
        access: Access,
        send: Callable[[AnyCommand], Awaitable[None]],
        generations: Generations,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._settings, self._board, self._access, self._send = settings, board, access, send
        self._generations = generations
        self._open = Counter[str]()
        self._leaving: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        return [
            Route("/api/generate-stream", self.generate_stream, methods=["POST"]),
            Route("/api/generate-stream/{message_id}", self.join, methods=["GET"]),
            Route("/api/generate-stream/{message_id}", self.end, methods=["DELETE"]),
        ]

    @told(Told(200, EventStream.media_type, body=TurnBody, headers=incoming.IDEMPOTENCY_KEY, errors=_OF_UPSTREAM))
    async def generate_stream(self, request: Request) -> Response:
        """Begin to generate inside a chat, once for each `Idempotency-Key`, and follow it to its end.

        The user's and the assistant's message are written first. Then come `message`, `update`s, and one `complete` or
        `error`.
        """
        started = now()
        key = incoming.idempotency_key(request)
        caller = await self._access.caller(request)
        body = incoming.checked(TurnBody, await incoming.json_object(request, self._settings), "body")
        caller.require_all("generate", body.channels())
        ends_at = _ends_at(caller)
        with self._room(caller):
            turn, was_there = await self._generations.begin_turn(body, caller.subject, key)
            named = [Named(each.file_id, turn.request_id) for each in turn.files]
            tell_asked(self._tracing, request, started, HTTPStatus.OK, named)
            return await self._stream(caller, turn, ends_at, was_there=was_there)

    @told(Told(200, EventStream.media_type, errors=_OF_UPSTREAM))
    async def join(self, request: Request) -> Response:
        """The events of the turn that this message answers: what is, each change, and the end."""
        caller, turn = await self._found(request, "read")
        ends_at = _ends_at(caller)
        with self._room(caller):
            turn = await self._generations.settled(turn)
            return await self._stream(caller, turn, ends_at, was_there=True)

    @told(Told(202, answers.Cancelled, errors=_OF_UPSTREAM))
    async def end(self, request: Request) -> Response:
        """Cancel what the turn generates. What has ended stays as it is."""
        _, turn = await self._found(request, "cancel")
        turn = await self._generations.settled(turn)
        if turn.state == "unsure":
            raise unsure(turn)
        await self._cancel(turn)
        told = {"message_id": turn.message_id, "file_ids": [each.file_id for each in turn.files]}
        return Response(
            orjson.dumps(told), HTTPStatus.ACCEPTED, {"Cache-Control": "no-store"}, media_type="application/json"
        )

    async def close(self) -> None:
        """End what runs beyond its request."""
        for each in self._leaving:
            each.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _found(self, request: Request, action: Any) -> tuple[Caller, Turn]:
        """Raises Problem 404, or 403 where the token allows the action on none of the turn's channels."""
        caller = await self._access.caller(request)
        turn = await self._generations.find(incoming.message_id(request))
        caller.grants.require_any(action, turn.channels())
        return caller, turn

    @contextmanager
    def _room(self, caller: Caller) -> Iterator[None]:
        """Counts as a stream from now on. The stream itself takes it over: nothing is awaited in between."""
        if self._board.is_full():
            raise try_later(f"{self._settings.max_streams} event streams are open already.")
        self._access.subjects.require_room(caller.subject)
        with self._access.subjects.stream(caller.subject):
            yield

    async def _stream(self, caller: Caller, turn: Turn, ends_at: float | None, *, was_there: bool) -> EventStream:
        shown = await self._generations.turns.shown(turn) if was_there and turn.files else ()
        reading = _Reading(self._board, turn, shown)
        seconds = None if ends_at is None else max(0.0, ends_at - time.monotonic())
        return EventStream(
            self._board, self._settings, turn.file_channels(), None,
            seconds=seconds, held=self._held(caller, reading), shape=reading.shape_for,
        )  # fmt: skip

    @contextmanager
    def _held(self, caller: Caller, reading: "_Reading") -> Iterator[None]:
        """For as long as a stream is open; afterwards the turn is cancelled, where that is set and nobody returns."""
        message_id = reading.turn.message_id
        self._open[message_id] += 1
        try:
            with self._access.subjects.stream(caller.subject):
                yield
        finally:
            self._open[message_id] -= 1
            if not self._open[message_id]:
                del self._open[message_id]
            seconds = self._settings.cancel_after_close_seconds
            if seconds is not None and reading.was_left():
                task = asyncio.create_task(self._cancel_unless_open(reading.turn, seconds))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def _cancel_unless_open(self, turn: Turn, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._open[turn.message_id]:
            return
        try:
            await self._cancel(turn)
        except Exception as error:  # noqa: BLE001 - nobody waits for it: told in the log
            log.warning("turn not cancelled", reason=str(error), **turn.names())

    async def _cancel(self, turn: Turn) -> None:
        """Raises RetryLater where Kafka does not confirm it."""
        for each in turn.files:
            await self._send(Cancel(file_id=each.file_id, generation=turn.request_id, issued_at=utcnow()))


def _ends_at(caller: Caller) -> float | None:
    """When the token does: to begin may take longer than a moment."""
    return None if caller.expires_in is None else time.monotonic() + caller.expires_in


class _Reading:
    """One stream of a turn, and how it ended."""

    def __init__(self, board: Board, turn: Turn, shown: Sequence[Mapping[str, Any]]) -> None:
        self._board, self.turn, self._shown = board, turn, shown
        self._subscriber: Subscriber | None = None

    def shape_for(self, subscriber: Subscriber) -> TurnShape:
        self._subscriber = subscriber
        return TurnShape(self._board, subscriber, self.turn, self._shown)

    def was_left(self) -> bool:
        """Whether its reader has gone, or takes nothing; and not, say, the gateway."""
        return self._subscriber is not None and self._subscriber.ended in {"gone", None}
