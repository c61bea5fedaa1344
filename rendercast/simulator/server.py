"""The simulator as a process: one HTTP server."""

import asyncio
import socket
import ssl
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

import structlog
from aiohttp import web

from rendercast.simulator.admin import Admin
from rendercast.simulator.api import API, Api, refusals
from rendercast.simulator.door import Door
from rendercast.simulator.guard import Guard
from rendercast.simulator.levers import Levers
from rendercast.simulator.script import Player, ScriptFile, read_script
from rendercast.simulator.settings import SimulatorSettings
from rendercast.simulator.streams import Stream
from rendercast.simulator.world import World
from schemas.errors import StopProcess

STOP_SECONDS = 5
BACKLOG = 4_096
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}
log = structlog.get_logger()


class _Running(NamedTuple):
    runner: web.AppRunner
    world: World
    tasks: tuple[asyncio.Task[None], ...]


class Simulator:
    """An upstream to test against: `run` it as a process, or `async with Simulator(settings) as upstream`."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._running: _Running | None = None
        self._url = ""
        self._admin_url = ""

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end. Empty while it does not run."""
        return self._url

    @property
    def admin_url(self) -> str:
        """Where the admin calls are never reset: the same as `url`, unless there is an admin port."""
        return self._admin_url

    def not_ready(self) -> str | None:
        return None if self._url else "the simulator does not run"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises StopProcess for a wrong script or certificate, or an address in use."""
        async with self:
            assert self._running is not None
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({stopping, *self._running.tasks}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()

    async def start(self) -> None:
        """Serve from now on, with the files of the script. Raises StopProcess, as `run` does."""
        settings = self._settings
        script = ScriptFile() if settings.script_file is None else read_script(settings.script_file)
        tls = _tls(settings)
        listener, *second = _listen(settings)
        url = _url(settings.host, listener, "http" if tls is None else "https")
        world = World(settings, (settings.public_url or url).rstrip("/") + "/media")
        guard = Guard(world)
        app = web.Application(middlewares=[refusals, guard.middleware])
        app.on_response_prepare.append(guard.count_status)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_SECONDS)

        async def events(request: web.Request) -> web.StreamResponse:
            return await Stream(world, request.match_info["channel"]).serve(request)

        def transports() -> list[asyncio.BaseTransport | None]:
            return [each.transport for each in runner.server.connections] if runner.server else []

        levers = Levers(world, transports)
        app.add_routes([
            *Api(world).routes(), web.get(API + "events/{channel}", events, allow_head=False),
            *Admin(world, levers).routes(),
        ])  # fmt: skip
        await runner.setup()
        assert runner.server is not None
        doors = [Door(listener, runner.server, tls=tls, dice=world.dice)]
        doors += [Door(each, runner.server) for each in second]
        player = Player(script, world, levers)
        player.do_what_is_due()
        tasks = tuple(asyncio.create_task(each) for each in (*(door.run() for door in doors), player.run()))
        self._running = _Running(runner, world, tasks)
        self._url = url
        self._admin_url = _url(settings.host, second[0], "http") if second else url
        ports = [each.getsockname()[1] for each in (listener, *second)]
        log.info("simulator started", url=url, ports=ports, seed=settings.seed, speed=settings.speed)

    async def stop(self) -> None:
        """End every stream and stop listening."""
        if self._running is None:
            return
        (runner, world, tasks), self._running, self._url, self._admin_url = self._running, None, "", ""
        for task in tasks:
            task.cancel()
        world.close()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
        log.info("simulator stopped")
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _listen(settings: SimulatorSettings) -> list[socket.socket]:
    """The listener of the API, and the one for admin calls if there is to be one."""
    host = settings.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as opened:
        found = []
        for port in (settings.port, settings.admin_port):
            if port is not None:
                try:
                    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
                except OSError as error:
                    message = f"the simulator cannot listen on {host}:{port}: {error}"
                    raise StopProcess(message, host=host, port=port) from error
                found.append(opened.enter_context(listener))
        opened.pop_all()
    return found


def _url(host: str, listener: socket.socket, scheme: str) -> str:
    name = _EVERYWHERE.get(host, f"[{host}]" if ":" in host else host)
    return f"{scheme}://{name}:{listener.getsockname()[1]}"


def _tls(settings: SimulatorSettings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        raise StopProcess(f"the certificate {settings.tls_certificate} cannot be used: {error}") from error
    return context
