"""The simulator as a process: one HTTP server."""

import asyncio
import socket
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from rendercast.simulator.admin import Admin
from rendercast.simulator.api import API, Api, refusals
from rendercast.simulator.settings import SimulatorSettings
from rendercast.simulator.streams import Stream
from rendercast.simulator.world import World
from schemas.errors import StopProcess

STOP_SECONDS = 5
BACKLOG = 4_096
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}
log = structlog.get_logger()


class Simulator:
    """An upstream to test against: `run` it as a process, or `async with Simulator(settings) as upstream`."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._running: tuple[web.AppRunner, World, asyncio.Event] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end. Empty while it does not run."""
        return self._url

    def not_ready(self) -> str | None:
        return None if self._url else "the simulator does not run"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises StopProcess when the address is not to be had."""
        async with self:
            await stop.wait()

    async def start(self) -> None:
        """Serve from now on, with no files. Raises StopProcess when the address is not to be had."""
        settings = self._settings
        listener = _listen(settings.host, settings.port)
        host = _EVERYWHERE.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
        url = f"http://{host}:{listener.getsockname()[1]}"
        world = World(settings, (settings.public_url or url).rstrip("/") + "/media")
        stopping = asyncio.Event()

        async def events(request: web.Request) -> web.StreamResponse:
            return await Stream(world, stopping, request.match_info["channel"]).serve(request)

        api = Api(world)
        app = web.Application(middlewares=[refusals, api.guard])
        app.add_routes([
            *api.routes(), web.get(API + "events/{channel}", events, allow_head=False), *Admin(world).routes(),
        ])  # fmt: skip
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        self._running = (runner, world, stopping)
        self._url = url
        log.info("simulator started", url=url, seed=settings.seed, speed=settings.speed)

    async def stop(self) -> None:
        """End every stream and stop listening."""
        if self._running is None:
            return
        (runner, world, stopping), self._running, self._url = self._running, None, ""
        stopping.set()
        world.close()
        await runner.cleanup()
        log.info("simulator stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StopProcess(f"the simulator cannot listen on {host}:{port}: {error}", host=host, port=port) from error
