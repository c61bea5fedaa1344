"""What the simulator has beside the upstream's own calls: media, its record, and the levers of tests."""

from aiohttp import web

from rendercast.simulator.api import answer, read_json
from rendercast.simulator.levers import Again, Levers, Script
from rendercast.simulator.media import content_type, media_bytes, media_digest
from rendercast.simulator.outages import Break, Heal
from rendercast.simulator.record import file_record, record
from rendercast.simulator.requests import Refused, read_body
from rendercast.simulator.world import World


class Admin:
    """Handlers that ask for no token."""

    def __init__(self, world: World, levers: Levers) -> None:
        self._world = world
        self._levers = levers

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/media/{path:.+}", self._media),
            web.get("/__healthz", self._health),
            web.get("/__record", self._record),
            web.get("/__record/{file_id}", self._file_record),
            web.post("/__script", self._script),
            web.post("/__regenerate/{file_id}", self._regenerate),
            web.get("/__faults", self._rates),
            web.post("/__faults", self._faults),
            web.get("/__break", self._broken),
            web.post("/__break", self._break),
            web.post("/__heal", self._heal),
        ]

    async def _script(self, request: web.Request) -> web.Response:
        return answer(self._levers.create(read_body(Script, await read_json(request))))

    async def _regenerate(self, request: web.Request) -> web.Response:
        wanted = read_body(Again, await _read_or_nothing(request))
        return answer(self._levers.regenerate(request.match_info["file_id"], wanted))

    async def _rates(self, _: web.Request) -> web.Response:
        return answer(self._world.dice.rates.model_dump())

    async def _faults(self, request: web.Request) -> web.Response:
        return answer(self._levers.change_rates(await read_json(request)))

    async def _broken(self, _: web.Request) -> web.Response:
        return answer(self._levers.broken())

    async def _break(self, request: web.Request) -> web.Response:
        return answer(self._levers.break_(read_body(Break, await read_json(request)), request.transport))

    async def _heal(self, request: web.Request) -> web.Response:
        return answer(self._levers.heal(read_body(Heal, await _read_or_nothing(request))))

    async def _record(self, request: web.Request) -> web.Response:
        found = record(self._world, with_files=request.query.get("files") != "no")
        return answer(found | {"broken_now": self._levers.broken(), "levers": list(self._levers.pulled)})

    async def _file_record(self, request: web.Request) -> web.Response:
        found = file_record(self._world, request.match_info["file_id"].lower())
        if found is None:
            raise Refused(404, {"detail": "File not found"})
        return answer(found)

    async def _health(self, _: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def _media(self, request: web.Request) -> web.Response:
        path = self._world.media(request.path)
        if path is None:
            raise Refused(404, {"detail": "Not found"})
        if self._world.refuses(request.path, request.query_string):
            raise Refused(403, {"detail": "The URL has expired"})
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


async def _read_or_nothing(request: web.Request) -> object:
    return await read_json(request) if request.can_read_body else {}
