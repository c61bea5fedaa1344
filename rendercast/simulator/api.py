"""The upstream's REST calls and its refusals."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from rendercast.simulator import chance
from rendercast.simulator.jobs import Kind
from rendercast.simulator.models import MODELS
from rendercast.simulator.objects import Json
from rendercast.simulator.requests import GenerateBody, Refused, read_body
from rendercast.simulator.world import World
from schemas.base import is_uuid

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
API = "/api/v1/"


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON as FastAPI answers it."""
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")


async def read_json(request: web.Request) -> Any:
    """The body, or Refused with 422 in FastAPI's form."""
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        wrong = {"type": "json_invalid", "loc": ["body", error.pos], "msg": "JSON decode error", "input": {}}
        raise Refused(422, {"detail": [wrong | {"ctx": {"error": error.msg}}]}) from error


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a handler refuses becomes its answer."""
    try:
        return await handler(request)
    except Refused as refused:
        return answer(refused.body, refused.status)


class Api:
    """Handlers of everything below `/api/v1/`, but for the event stream."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._projects = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(API + "file/generate-video", self._generate_video),
            web.post(API + "file/generate-image", self._generate_image),
            web.post(API + "project", self._create_project),
            web.get(API + "file/{file_id}", self._file),
            web.get(API + "project/{project_id}", self._project),
            web.get(API + "generation-config", self._models),
        ]

    async def _generate_video(self, request: web.Request) -> web.Response:
        return answer((await self._generate(request, "video"))[0])

    async def _generate_image(self, request: web.Request) -> web.Response:
        return answer(await self._generate(request, "image"))

    async def _generate(self, request: web.Request, kind: Kind) -> list[Json]:
        body: GenerateBody = read_body(GenerateBody, await read_json(request))
        return [
            self._world.create(order, project_id=body.project_id, user_id=body.user_id) for order in body.orders(kind)
        ]

    async def _create_project(self, request: web.Request) -> web.Response:
        """The older flow: `id` is the project's. With a `config` it begins a video of its own."""
        body = await read_json(request)
        self._projects += 1
        project_id = chance.uuid(self._world.settings.seed, "project", self._projects)
        if isinstance(body, dict) and "config" in body:
            wanted: GenerateBody = read_body(GenerateBody, body)
            order = wanted.orders("video", flow="timeline2video-flow")[0]
            self._world.create(order, project_id=project_id, user_id=wanted.user_id)
        else:
            self._world.open_project(project_id)
        return answer({**(self._world.project(project_id) or {}), "status": "pending"})

    async def _file(self, request: web.Request) -> web.Response:
        found = self._world.poll(_uuid(request, "file_id"))
        return _not_found("File") if found is None else answer(found)

    async def _project(self, request: web.Request) -> web.Response:
        found = self._world.project(_uuid(request, "project_id"))
        return _not_found("Project") if found is None else answer(found)

    async def _models(self, request: web.Request) -> web.Response:
        wanted, form = request.query.get("type"), self._world.settings.model_params
        return answer([each.json(form) for each in MODELS.values() if wanted in {None, each.type}])


def _not_found(what: str) -> web.Response:
    return answer({"detail": f"{what} not found"}, 404)


def _uuid(request: web.Request, name: str) -> str:
    found = request.match_info[name]
    if not is_uuid(found):
        wrong = {"type": "uuid_parsing", "loc": ["path", name], "msg": "Input should be a valid UUID", "input": found}
        raise Refused(422, {"detail": [wrong]})
    return found.lower()
