"""What the simulator has beside the upstream's own calls: media, its record, and the levers of tests."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from rendercast.simulator.api import answer, read_json
from rendercast.simulator.jobs import Behaviour, Kind, Order
from rendercast.simulator.media import content_type, media_bytes, media_digest
from rendercast.simulator.record import record
from rendercast.simulator.requests import Refused, read_body
from rendercast.simulator.settings import Faults
from rendercast.simulator.world import World
from schemas.base import FileId, Name

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Script(_Body):
    """`POST /__script`. `faults` are rates of this file alone."""

    kind: Kind = "video"
    behaviour: Behaviour = "plain"
    seconds: Seconds | None = None
    file_id: FileId | None = None
    project_id: FileId | None = None
    user_id: Name | None = None
    request_id: Name | None = None
    prompt: str = "a simulated prompt"
    faults: Faults | None = None


class Again(_Body):
    """`POST /__regenerate/{file_id}`."""

    behaviour: Behaviour = "plain"
    seconds: Seconds | None = None
    request_id: Name | None = None
    prompt: str = "a simulated prompt"


class Admin:
    """Handlers that ask for no token."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/media/{path:.+}", self._media),
            web.get("/__healthz", self._health),
            web.get("/__record", self._record),
            web.post("/__script", self._script),
            web.post("/__regenerate/{file_id}", self._regenerate),
            web.post("/__faults", self._faults),
        ]

    async def _script(self, request: web.Request) -> web.Response:
        wanted: Script = read_body(Script, await read_json(request))
        order = _order(wanted.kind, wanted)
        try:
            created = self._world.create(
                order, project_id=wanted.project_id, user_id=wanted.user_id, file_id=wanted.file_id,
                seconds=wanted.seconds, rates=wanted.faults,
            )  # fmt: skip
        except KeyError as error:
            raise Refused(409, {"detail": "There is such a file: regenerate it"}) from error
        return answer(created)

    async def _regenerate(self, request: web.Request) -> web.Response:
        entry = self._world.entries.get(request.match_info["file_id"].lower())
        if entry is None:
            raise Refused(404, {"detail": "File not found"})
        wanted: Again = read_body(Again, await read_json(request) if request.can_read_body else {})
        order = _order(entry.file.current.order.kind, wanted)
        return answer(self._world.regenerate(entry.file.id, order, wanted.seconds))

    async def _faults(self, request: web.Request) -> web.Response:
        """Change the rates that are named. Faults that are drawn per file are those of generations to come."""
        changes = await read_json(request)
        if isinstance(changes, dict):
            changes = {**self._world.dice.rates.model_dump(), **changes}
        self._world.dice.rates = read_body(Faults, changes)
        return answer(self._world.dice.rates.model_dump())

    async def _record(self, _: web.Request) -> web.Response:
        return answer(record(self._world))

    async def _health(self, _: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def _media(self, request: web.Request) -> web.Response:
        path = self._world.media(request.path)
        if path is None:
            raise Refused(404, {"detail": "Not found"})
        size = self._world.settings.video_bytes
        digest = media_digest(path, size)
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{digest.sha256}"', "Content-Type": content_type(path)}
        try:
            wanted = request.http_range
            start, stop, _ = wanted.indices(digest.size)
        except ValueError:
            start = stop = digest.size
        if start >= stop:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{digest.size}"})
        body = media_bytes(path, size)[start:stop]
        if "Range" not in request.headers:
            return web.Response(body=body, headers=headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{digest.size}"
        return web.Response(status=206, body=body, headers=headers)


def _order(kind: Kind, wanted: Any) -> Order:
    return Order(kind=kind, behaviour=wanted.behaviour, prompt=wanted.prompt, request_id=wanted.request_id)
