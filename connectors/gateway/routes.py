"""The routes. Each one checks what came in, asks whether it is allowed, and does one thing."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.gateway import answers, frames, incoming
from connectors.gateway.access import Access
from connectors.gateway.board import Board
from connectors.gateway.channels import ALL
from connectors.gateway.commands import AnyCommand, Commands
from connectors.gateway.errors import HANDLERS, Problem, try_later
from connectors.gateway.generate import GenerateBody, Generator, ModelsQuery
from connectors.gateway.generations import Generations
from connectors.gateway.grants import Action
from connectors.gateway.measure import Measured
from connectors.gateway.models import Models
from connectors.gateway.openapi import Told, document, told
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.shapes import StreamQuery
from connectors.gateway.spans import Named, tell_asked
from connectors.gateway.static import page_routes
from connectors.gateway.stream import EventStream
from connectors.gateway.turn_routes import TurnRoutes
from connectors.gateway.turns import Turns
from schemas import Cancel, Check, JobView, Track, utcnow
from schemas.codec import timestamp
from schemas.headers import generation_of
from tracing import OFF, Tracing, now

EVENTS = "text/event-stream"


class Routes:
    """What the gateway answers with: the board for what is, commands for what shall be."""

    def __init__(
        self,
        settings: GatewaySettings,
        board: Board,
        commands: Commands,
        access: Access,
        not_ready: Callable[[], str | None],
        generator: Generator | None = None,
        turns: Turns | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._settings, self._board, self._commands, self._not_ready = settings, board, commands, not_ready
        self._access = access
        self._generations = Generations(settings, generator, self._send, turns)
        self._turns = TurnRoutes(settings, board, access, self._send, self._generations, tracing)

    def application(self) -> Measured:
        app = Starlette(
            routes=[*self._routes(), *page_routes()],
            middleware=[Middleware(CORSMiddleware, **_cors(self._settings))] if self._settings.cors_origins else [],
            exception_handlers=HANDLERS,
        )
        app.router.redirect_slashes = False
        return Measured(app)

    def _routes(self) -> list[Route]:
        """All that are in the OpenAPI document, which is one of them."""
        found = [
            Route("/api/jobs", self.track, methods=["POST"]),
            Route("/api/jobs", self.jobs),
            Route("/api/jobs/{file_id}", self.job),
            Route("/api/jobs/{file_id}", self.cancel, methods=["DELETE"]),
            Route("/api/jobs/{file_id}/check", self.check, methods=["POST"]),
            Route("/api/generate/{kind}", self.generate, methods=["POST"]),
            Route("/api/models", self.models),
            *self._turns.routes(),
            Route("/api/events", self.events),
            Route("/api/events/{channel:path}", self.channel_events),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
        ]
        self._document = orjson.dumps(document(found, incoming.PATHS, self._settings.cookie))
        return found

    @told(Told(202, answers.Accepted, body=Track, made_here=("type", "issued_at")))
    async def track(self, request: Request) -> Response:
        """Watch a file. The body is a Track command without its type and time."""
        caller = await self._access.caller(request)
        body = await incoming.json_object(request, self._settings)
        issued_at = utcnow()
        command = incoming.checked(Track, {**body, "type": "track", "issued_at": issued_at}, "body")
        caller.require_all("track", channels_of(command, command.file_id))
        held = self._board.view.get(command.file_id)
        if held is not None:  # to track a file anew is to take it over
            caller.grants.require_any("track", tuple(held.channels()))
        await self._send(command)
        generation = generation_of(command)
        named = [Named(command.file_id, generation)] if generation else []
        tell_asked(self._tracing, request, issued_at, HTTPStatus.ACCEPTED, named)
        return _accepted(file_id=command.file_id, **({"generation": generation} if generation else {}))

    @told(Told(202, answers.Accepted))
    async def check(self, request: Request) -> Response:
        """Look at the file now. Accepted for files that are not held here, too: the job may be older, or on its way."""
        file_id = incoming.file_id(request)
        await self._require(request, "check", file_id)
        await self._send(Check(file_id=file_id, issued_at=utcnow()))
        return _accepted(file_id=file_id)

    @told(Told(202, answers.Accepted, queries=(incoming.CancelQuery,)))
    async def cancel(self, request: Request) -> Response:
        """End the job, or only its current generation if that is still the one that is named."""
        file_id = incoming.file_id(request)
        wanted = incoming.query(request, incoming.CancelQuery)
        await self._require(request, "cancel", file_id)
        await self._send(Cancel(file_id=file_id, generation=wanted.generation, issued_at=utcnow()))
        return _accepted(file_id=file_id)

    @told(Told(200, JobView))
    async def job(self, request: Request) -> Response:
        """The state of a file's job."""
        file_id = incoming.file_id(request)
        self._require_jobs()
        await self._require(request, "read", file_id)
        found = self._board.view.get(file_id)
        if found is None or found.body is None:
            raise Problem(404, "No job of this file is known here: never tracked, or finished long ago.")
        return _json(found.body)

    @told(Told(200, answers.Jobs, queries=(incoming.ListQuery,)))
    async def jobs(self, request: Request) -> Response:
        """The unfinished jobs first, each part by its last change, newest first."""
        wanted = incoming.query(request, incoming.ListQuery)
        channels = (ALL if wanted.project_id is None else f"project.{wanted.project_id}",)
        (await self._access.caller(request)).require_all("read", channels)
        self._require_jobs()
        limit = min(wanted.limit, self._settings.snapshot_jobs)
        found = self._board.view.find(
            channels, limit, lambda change: wanted.status is None or change.status == wanted.status
        )
        return _json(b'{"jobs":%s,"total":%d}' % (frames.jobs_array(found.jobs), found.total))

    @told(
        Told(202, answers.Generation, body=GenerateBody, headers=incoming.IDEMPOTENCY_KEY, errors=frozenset((502, 504)))
    )
    async def generate(self, request: Request) -> Response:
        """Begin to generate, once for each `Idempotency-Key`; answers when every file of the call is followed."""
        started = now()
        kind, key = incoming.generated_kind(request), incoming.idempotency_key(request)
        caller = await self._access.caller(request)
        body = incoming.checked(GenerateBody, await incoming.json_object(request, self._settings), "body")
        caller.require_all("generate", channels_of(body, "new"))
        order = await self._generations.begin(kind, body, caller.subject, key)
        named = [Named(each.file_id, order.request_id) for each in order.files]
        tell_asked(self._tracing, request, started, HTTPStatus.ACCEPTED, named)
        return _accepted(**order.told())

    @told(Told(200, Models, queries=(ModelsQuery,), errors=frozenset((502,))))
    async def models(self, request: Request) -> Response:
        """What can be generated with, as far as the upstream's list is known. For whoever may generate anything."""
        wanted = incoming.query(request, ModelsQuery)
        if not (await self._access.caller(request)).grants.patterns.get("generate"):
            raise Problem(403, "The token does not allow to generate.")
        found = await self._generations.models(wanted.kind)
        return _json(found.model_dump_json(exclude_none=True).encode())

    @told(Told(200, EVENTS, queries=(incoming.ChannelsQuery, StreamQuery), headers=incoming.LAST_EVENT_ID))
    async def events(self, request: Request) -> Response:
        """The changes of some channels: a snapshot, then each as it comes."""
        channels = incoming.channels(request, self._settings.max_channels)
        wanted = incoming.query(request, StreamQuery)
        caller = await self._access.caller(request)
        caller.require_all("read", channels)
        if self._board.is_full():
            raise try_later(f"{self._settings.max_streams} event streams are open already.")
        self._access.subjects.require_room(caller.subject)
        return EventStream(
            self._board, self._settings, channels, incoming.last_event_id(request),
            seconds=caller.expires_in, held=self._access.subjects.stream(caller.subject), shape=wanted.shape,
        )  # fmt: skip

    @told(Told(200, EVENTS, queries=(incoming.LastQuery, StreamQuery), headers=incoming.LAST_EVENT_ID))
    async def channel_events(self, request: Request) -> Response:
        """The changes of one channel: a snapshot, then each as it comes."""
        return await self.events(request)

    @told(Told(200, answers.Alive, needs_token=False))
    async def healthz(self, _request: Request) -> Response:
        """Whether the process answers."""
        return _json(orjson.dumps({"status": "alive", "time": timestamp(utcnow())}))

    @told(Told(200, answers.Ready, errors=frozenset((503,)), needs_token=False))
    async def readyz(self, _request: Request) -> Response:
        """Whether it can be asked: the jobs are read, and Kafka answers."""
        reason = self._not_ready()
        if reason is not None:
            raise try_later(reason)
        return _json(orjson.dumps({"status": "ready"}))

    @told(Told(200, "text/plain", needs_token=False))
    async def metrics(self, _request: Request) -> Response:
        """For Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @told(Told(200, "application/json", needs_token=False))
    async def openapi(self, _request: Request) -> Response:
        """This document."""
        return _json(self._document)

    async def close(self) -> None:
        """End what runs beyond its request."""
        await self._turns.close()
        await self._generations.close()

    async def _send(self, command: AnyCommand) -> None:
        """To the partition where the file's job is: whoever tracked it may partition otherwise than this client."""
        held = self._board.view.get(command.file_id)
        await self._commands.send(command, None if held is None else held.partition)

    async def _require(self, request: Request, action: Action, file_id: str) -> None:
        """Raises Problem 401 or 403. A job that is held is its project's and its user's, too."""
        caller = await self._access.caller(request)
        held = self._board.view.get(file_id)
        own = f"file.{file_id}"
        caller.grants.require_any(action, (own,) if held is None else tuple(held.channels()))

    def _require_jobs(self) -> None:
        if not self._board.loaded:
            raise try_later("The jobs are still being read; what is asked for may be among them.")


def _json(body: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(body, status, {"Cache-Control": "no-store"}, media_type="application/json")


def _cors(settings: GatewaySettings) -> dict[str, Any]:
    return {
        "allow_origins": settings.cors_origins,
        "allow_credentials": True,
        "allow_methods": ["GET", "POST", "DELETE"],
        "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
        "expose_headers": ["Retry-After"],
        "max_age": 600,
    }


def channels_of(asked: Track | GenerateBody, file: str) -> tuple[str, ...]:
    """Where the job will be told: who asks must be allowed to in each, as it will be seen there."""
    chat = None if asked.chat is None else asked.chat.chat_id
    named = (("project", asked.project_id), ("user", asked.user_id), ("chat", chat))
    return tuple(f"{kind}.{name}" for kind, name in named if name is not None) or (f"file.{file}",)


def _accepted(**facts: Any) -> Response:
    """Kafka has the command. What becomes of it is told by the job's events."""
    return _json(orjson.dumps(facts), HTTPStatus.ACCEPTED)
