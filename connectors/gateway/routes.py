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

from connectors.gateway import frames, incoming
from connectors.gateway.access import Access
from connectors.gateway.board import Board
from connectors.gateway.channels import ALL
from connectors.gateway.commands import AnyCommand, Commands
from connectors.gateway.errors import HANDLERS, Problem, try_later
from connectors.gateway.grants import Action
from connectors.gateway.measure import Measured
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.static import page_routes
from connectors.gateway.stream import EventStream
from schemas import Cancel, Check, Track, utcnow
from schemas.codec import timestamp


class Routes:
    """What the gateway answers with: the board for what is, commands for what shall be."""

    def __init__(
        self,
        settings: GatewaySettings,
        board: Board,
        commands: Commands,
        access: Access,
        not_ready: Callable[[], str | None],
    ) -> None:
        self._settings, self._board, self._commands, self._not_ready = settings, board, commands, not_ready
        self._access = access

    def application(self) -> Measured:
        app = Starlette(
            routes=[
                Route("/api/jobs", self.track, methods=["POST"]),
                Route("/api/jobs", self.jobs),
                Route("/api/jobs/{file_id}", self.job),
                Route("/api/jobs/{file_id}", self.cancel, methods=["DELETE"]),
                Route("/api/jobs/{file_id}/check", self.check, methods=["POST"]),
                Route("/api/events", self.events),
                Route("/api/events/{channel:path}", self.events),
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
                Route("/metrics", self.metrics),
                *page_routes(),
            ],
            middleware=[Middleware(CORSMiddleware, **_cors(self._settings))] if self._settings.cors_origins else [],
            exception_handlers=HANDLERS,
        )
        app.router.redirect_slashes = False
        return Measured(app)

    async def track(self, request: Request) -> Response:
        """Watch a file. The body is a Track command without its type and time."""
        caller = await self._access.caller(request)
        body = await incoming.json_object(request, self._settings)
        issued_at = utcnow()
        command = incoming.checked(Track, {**body, "type": "track", "issued_at": issued_at}, "body")
        caller.require_all("track", channels_of(command))
        await self._send(command)
        generation = command.request_id or command.upstream_generation_id
        return _accepted(file_id=command.file_id, **({"generation": generation} if generation else {}))

    async def check(self, request: Request) -> Response:
        """Look at the file now. Accepted for files that are not held here, too: the job may be older, or on its way."""
        file_id = incoming.file_id(request)
        await self._require(request, "check", file_id)
        await self._send(Check(file_id=file_id, issued_at=utcnow()))
        return _accepted(file_id=file_id)

    async def cancel(self, request: Request) -> Response:
        file_id = incoming.file_id(request)
        wanted = incoming.query(request, incoming.CancelQuery)
        await self._require(request, "cancel", file_id)
        await self._send(Cancel(file_id=file_id, generation=wanted.generation, issued_at=utcnow()))
        return _accepted(file_id=file_id)

    async def job(self, request: Request) -> Response:
        file_id = incoming.file_id(request)
        self._require_jobs()
        await self._require(request, "read", file_id)
        found = self._board.view.get(file_id)
        if found is None or found.body is None:
            raise Problem(404, "No job of this file is known here: never tracked, or finished long ago.")
        return _json(found.body)

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

    async def events(self, request: Request) -> Response:
        channels = incoming.channels(request, self._settings.max_channels)
        caller = await self._access.caller(request)
        caller.require_all("read", channels)
        if self._board.is_full():
            raise try_later(f"{self._settings.max_streams} event streams are open already.")
        self._access.subjects.require_room(caller.subject)
        return EventStream(
            self._board, self._settings, channels, incoming.last_event_id(request),
            seconds=caller.expires_in, held=self._access.subjects.stream(caller.subject),
        )  # fmt: skip

    async def healthz(self, _request: Request) -> Response:
        return _json(orjson.dumps({"status": "alive", "time": timestamp(utcnow())}))

    async def readyz(self, _request: Request) -> Response:
        reason = self._not_ready()
        if reason is not None:
            raise try_later(reason)
        return _json(orjson.dumps({"status": "ready"}))

    async def metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def _send(self, command: AnyCommand) -> None:
        """To the partition where the file's job is: whoever tracked it may partition otherwise than this client."""
        held = self._board.view.get(command.file_id)
        await self._commands.send(command, None if held is None else held.partition)

    async def _require(self, request: Request, action: Action, file_id: str) -> None:
        """Raises Problem 401 or 403. A job that is held is its project's and its user's, too."""
        caller = await self._access.caller(request)
        held = self._board.view.get(file_id)
        own = f"file.{file_id}"
        caller.require_any(action, (own,) if held is None else tuple(held.channels()))

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
        "allow_headers": ["Authorization", "Content-Type", "Last-Event-ID"],
        "expose_headers": ["Retry-After"],
        "max_age": 600,
    }


def channels_of(command: Track) -> tuple[str, ...]:
    """Where the job will be told: who tracks must be allowed to in each, as it will be seen there."""
    named = (("project", command.project_id), ("user", command.user_id))
    return tuple(f"{kind}.{name}" for kind, name in named if name is not None) or (f"file.{command.file_id}",)


def _accepted(**facts: Any) -> Response:
    """Kafka has the command. What becomes of it is told by the job's events."""
    return _json(orjson.dumps(facts), HTTPStatus.ACCEPTED)
