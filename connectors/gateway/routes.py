"""The routes. Each one checks what came in, asks whether it is allowed, and does one thing."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.gateway import frames, incoming
from connectors.gateway.access import Access
from connectors.gateway.board import Board
from connectors.gateway.channels import ALL
from connectors.gateway.commands import AnyCommand, Commands
from connectors.gateway.errors import HANDLERS, Problem, try_later
from connectors.gateway.measure import Measured
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.static import page_routes
from connectors.gateway.stream import EventStream
from schemas import Cancel, Check, Track, utcnow
from schemas.codec import timestamp


class Routes:
    """What the gateway answers with: the board for what is, commands for what shall be."""

    def __init__(
        self, settings: GatewaySettings, board: Board, commands: Commands, not_ready: Callable[[], str | None]
    ) -> None:
        self._settings, self._board, self._commands, self._not_ready = settings, board, commands, not_ready
        self._access = Access(settings)

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
            exception_handlers=HANDLERS,
        )
        app.router.redirect_slashes = False
        return Measured(app)

    async def track(self, request: Request) -> Response:
        """Watch a file. The body is a Track command without its type and time."""
        self._access.authorize(request, "track", ())
        body = await incoming.json_object(request, self._settings)
        issued_at = utcnow()
        command = incoming.checked(Track, {**body, "type": "track", "issued_at": issued_at}, "body")
        await self._send(command)
        generation = command.request_id or command.upstream_generation_id
        return _accepted(file_id=command.file_id, **({"generation": generation} if generation else {}))

    async def check(self, request: Request) -> Response:
        """Look at the file now. Accepted for files that are not held here, too: the job may be older, or on its way."""
        file_id = incoming.file_id(request)
        self._access.authorize(request, "check", (f"file.{file_id}",))
        await self._send(Check(file_id=file_id, issued_at=utcnow()))
        return _accepted(file_id=file_id)

    async def cancel(self, request: Request) -> Response:
        file_id = incoming.file_id(request)
        wanted = incoming.query(request, incoming.CancelQuery)
        self._access.authorize(request, "cancel", (f"file.{file_id}",))
        await self._send(Cancel(file_id=file_id, generation=wanted.generation, issued_at=utcnow()))
        return _accepted(file_id=file_id)

    async def job(self, request: Request) -> Response:
        file_id = incoming.file_id(request)
        self._access.authorize(request, "read", (f"file.{file_id}",))
        self._require_jobs()
        found = self._board.view.get(file_id)
        if found is None or found.body is None:
            raise Problem(404, "No job of this file is known here: never tracked, or finished long ago.")
        return _json(found.body)

    async def jobs(self, request: Request) -> Response:
        """The unfinished jobs first, each part by its last change, newest first."""
        wanted = incoming.query(request, incoming.ListQuery)
        channels = (ALL if wanted.project_id is None else f"project.{wanted.project_id}",)
        self._access.authorize(request, "read", channels)
        self._require_jobs()
        limit = min(wanted.limit, self._settings.snapshot_jobs)
        found = self._board.view.find(
            channels, limit, lambda change: wanted.status is None or change.status == wanted.status
        )
        return _json(b'{"jobs":%s,"total":%d}' % (frames.jobs_array(found.jobs), found.total))

    async def events(self, request: Request) -> Response:
        channels = incoming.channels(request, self._settings.max_channels)
        self._access.authorize(request, "read", channels)
        if self._board.is_full():
            raise try_later(f"{self._settings.max_streams} event streams are open already.")
        return EventStream(self._board, self._settings, channels, incoming.last_event_id(request))

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

    def _require_jobs(self) -> None:
        if not self._board.loaded:
            raise try_later("The jobs are still being read; what is asked for may be among them.")


def _json(body: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(body, status, {"Cache-Control": "no-store"}, media_type="application/json")


def _accepted(**facts: Any) -> Response:
    """Kafka has the command. What becomes of it is told by the job's events."""
    return _json(orjson.dumps(facts), HTTPStatus.ACCEPTED)
