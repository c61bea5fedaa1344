"""What every call meets before and after its handler: the token, what is broken, and the faults of requests."""

from collections import Counter
from datetime import timedelta
from email.utils import format_datetime
from hmac import compare_digest
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import hdrs, web

from rendercast.simulator import chance
from rendercast.simulator.api import API, Handler, answer
from rendercast.simulator.bodies import BODY_FAULTS, disturb
from rendercast.simulator.models import RUBBISH
from rendercast.simulator.outages import RateLimit, Refuse, Slow
from rendercast.simulator.wire import reset
from rendercast.simulator.world import World
from schemas.base import utcnow

UNKNOWN = "unknown"
_ERRORS = "<html><body>server error</body></html>"


class Call(NamedTuple):
    """What a request is about. Faults are drawn by `name`, a file or a route, and by its number among those."""

    kind: str
    channel: str | None
    file_id: str
    name: str
    ordinal: int


class Guard:
    """A middleware, and a listener to the statuses that are answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._token = world.settings.token.get_secret_value().encode()
        self._routes: Counter[str] = Counter()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(API):
            return await handler(request)
        call = self._count(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(token.strip().encode(), self._token):
            return answer({"detail": "Not authenticated"}, 401, {"WWW-Authenticate": "Bearer"})
        if request.match_info.http_exception is not None:
            return await handler(request)
        refused = await self._break(call) or await self._fault(request, call)
        if refused is not None:
            return refused
        found = self._other_file(call) or self._wrong_models(call) or await handler(request)
        return found if call.channel is not None else await self._disturb(request, call, found)

    async def count_status(self, request: web.Request, response: web.StreamResponse) -> None:
        """Called when an answer begins."""
        if request.path.startswith(API):
            for tally in self._world.tallies(_about(request)):
                tally.statuses[response.status] += 1

    def _count(self, request: web.Request) -> Call:
        channel = request.match_info.get("channel")
        about = _about(request)
        kind = kind_of(request)
        for tally in self._world.tallies(about):
            tally.requests[kind] += 1
        if (entry := self._world.entries.get(about)) is not None:
            return Call(kind, channel, about, about, entry.tally.requests.total())
        route = kind
        if kind != UNKNOWN:
            first = request.path.removeprefix(API).partition("/")[0]
            route = request.path if request.method == hdrs.METH_POST else first
        self._routes[route] += 1
        return Call(kind, channel, about, route, self._routes[route])

    async def _break(self, call: Call) -> web.Response | None:
        """What somebody has broken."""
        world = self._world
        for broken in list(world.outages.of_request(call.channel, call.file_id, now=world.now())):
            for tally in world.tallies(call.file_id):
                tally.broken[broken.what] += 1
            match broken:
                case Slow():
                    await world.pause(world.seconds(broken.delay))
                case Refuse():
                    return web.Response(status=broken.status, text=_ERRORS, content_type="text/html")
                case RateLimit(as_date=True):
                    return _too_many(broken.retry_after, skew=broken.skew_seconds)
                case RateLimit():
                    return _too_many(broken.retry_after)
        return None

    async def _fault(self, request: web.Request, call: Call) -> web.Response | None:
        """What befalls a request before its handler."""
        settings = self._world.settings
        key = (settings.seed, call.name, call.ordinal)
        if self._falls("rate_limit", call):
            skew = chance.pick((None, 0), *key, "Retry-After")
            return _too_many(settings.retry_after_seconds, skew=skew)
        if self._falls("server_error", call):
            status = chance.pick((500, 502, 503), *key, "status")
            return web.Response(status=status, text=_ERRORS, content_type="text/html")
        if self._falls("retry_after_skew", call):
            skew = chance.pick((settings.skew_seconds, -settings.skew_seconds), *key, "skew")
            return _too_many(settings.retry_after_seconds, skew=skew)
        if self._falls("token_refused", call):
            status = chance.pick((401, 403), *key, "refused")
            return answer({"detail": "Not authenticated"}, status)
        if (there := self._redirect(request, call)) is not None:
            status = chance.pick((302, 307, 308) if request.method == hdrs.METH_GET else (307, 308), *key, "redirect")
            return web.Response(status=status, headers={"Location": there})
        if call.kind == "generate-image" and self._world.dice.falls("conflict", call.ordinal):
            return answer({"detail": "Integrity error, create"}, 409)
        if self._falls("no_answer", call):
            await self._world.pause()
            return web.Response(status=503)
        if self._falls("request_reset", call):
            reset(request.transport)
            return web.Response(status=503)  # nobody hears it
        return None

    def _redirect(self, request: web.Request, call: Call) -> str | None:
        """Where a redirect leads, if there is to be one. A loop that has begun does not end."""
        hop = request.query.get("hop", "")[:9]
        if hop.isdecimal() or self._falls("redirect_loop", call):
            return str(request.rel_url.update_query(hop=str(int(hop or 0) + 1)))
        if "redirected" not in request.query and self._falls("redirect", call):
            return str(request.rel_url.update_query(redirected="yes"))
        return None

    def _other_file(self, call: Call) -> web.Response | None:
        if call.kind != "file" or call.file_id not in self._world.entries or not self._falls("wrong_file", call):
            return None
        return answer(self._world.foreign(call.file_id))

    def _wrong_models(self, call: Call) -> web.Response | None:
        if call.kind != "generation-config" or not self._falls("wrong_models", call):
            return None
        return answer(chance.pick(RUBBISH, self._world.settings.seed, call.name, call.ordinal, "rubbish"))

    async def _disturb(self, request: web.Request, call: Call, found: web.StreamResponse) -> web.StreamResponse:
        """What befalls an answer."""
        if not isinstance(found, web.Response) or found.status != HTTPStatus.OK:
            return found
        fault = next((each for each in BODY_FAULTS if self._falls(each, call)), None)
        return found if fault is None else await disturb(self._world, request, found, fault)

    def _falls(self, fault: str, call: Call) -> bool:
        return self._world.falls(fault, call.file_id, call.name, call.ordinal)


def _about(request: web.Request) -> str:
    """The id of the file that the call is about, or the stream; empty if of none."""
    found = request.match_info
    return (found.get("file_id") or found.get("channel", "").partition(".")[2]).lower()


def kind_of(request: web.Request) -> str:
    """What the call is, in the words of the record."""
    first, *_, last = request.path.removeprefix(API).rstrip("/").split("/") * 2
    if request.match_info.http_exception is not None:
        return UNKNOWN
    if request.method == hdrs.METH_POST:
        return "create-project" if last == "project" else last
    return "stream" if first == "events" else first


def _too_many(seconds: int, skew: int | None = None) -> web.Response:
    """429. With a skew Retry-After is a date by a clock that is off by so many seconds, and so is Date."""
    if skew is None:
        return answer({"detail": "Too many requests"}, 429, {"Retry-After": str(seconds)})
    now = utcnow() + timedelta(seconds=skew)
    headers = {
        "Retry-After": format_datetime(now + timedelta(seconds=seconds), usegmt=True),
        "Date": format_datetime(now, usegmt=True),
    }
    return answer({"detail": "Too many requests"}, 429, headers)
