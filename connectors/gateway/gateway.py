"""The gateway as a process: feed, board, commands and HTTP under one roof."""

import asyncio
import contextlib

import structlog

from connectors.gateway.access import Access
from connectors.gateway.board import Board
from connectors.gateway.commands import KafkaCommands
from connectors.gateway.feed import JobsFeed
from connectors.gateway.generate import Generator
from connectors.gateway.past import KafkaPast
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.tasks import until_one_ends
from connectors.gateway.turns import Turns
from schemas.settings import KafkaSettings
from schemas.topics import Topics
from tracing import OFF, Tracing

log = structlog.get_logger()

EVICT_SECONDS = 30.0


class Gateway:
    """REST, event streams and a page over the topic of jobs. Any number of them can run side by side."""

    def __init__(
        self,
        settings: GatewaySettings,
        kafka: KafkaSettings,
        topics: Topics,
        generator: Generator | None = None,
        turns: Turns | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        """`generator` is the upstream and `turns` the chats; without them nothing is generated here, or in a chat."""
        self._settings = settings
        self._board = Board(settings, past=KafkaPast(kafka, topics.jobs, settings))
        self._feed = JobsFeed(kafka, topics, self._board)
        seconds = settings.kafka_timeout_seconds
        self._commands = KafkaCommands(kafka, topics.commands, seconds, tracing=tracing)
        self._access = Access(settings)
        self._generator, self._turns = generator, turns
        self._routes = Routes(
            settings, self._board, self._commands, self._access, self.not_ready, generator, turns, tracing
        )
        self._server = HttpServer(self._routes.application(), settings)

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        return self._server.port

    def not_ready(self) -> str | None:
        return self._feed.not_ready()

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set. Raises StopProcess when the port is taken, or no broker answers at start."""
        warning = self._access.warning()
        if warning:
            log.warning(warning)
        self._server.open()
        try:
            log.info("gateway listens", host=self._settings.host, port=self.port)
            async with self._generator or contextlib.nullcontext(), self._turns or contextlib.nullcontext():
                try:
                    await until_one_ends(self._server.run(stop, self._board.close), self._follow_kafka(), self._evict())
                finally:
                    await self._routes.close()
        finally:
            await self._commands.stop()
            self._server.close()
        log.info("gateway has ended")

    async def _follow_kafka(self) -> None:
        await self._commands.start()
        await self._feed.run()

    async def _evict(self) -> None:
        while True:
            await asyncio.sleep(EVICT_SECONDS)
            self._board.evict()
