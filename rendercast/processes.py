"""Running one process: signals, monitoring, and what its end means."""

import asyncio
import gc
import signal
from collections.abc import Callable
from typing import Protocol

import structlog

from rendercast import topics
from rendercast.monitoring import Monitoring
from rendercast.rights import Process, rights
from rendercast.settings import Settings

log = structlog.get_logger()


class Service(Protocol):
    """What a room gives: work until `stop` is set, then a clean end within ten seconds."""

    async def run(self, stop: asyncio.Event) -> None: ...

    def not_ready(self) -> str | None: ...


COLLECT = (50_000, 5, 5)
"""When the garbage collector looks at new, older and all objects. With ten thousand streams open a look at all of them
stops a process for a second; as Python has it, it would do so again and again while they are being opened."""


def run(make: Callable[[], Service], settings: Settings, process: Process | None = None) -> None:
    """Run a service until SIGTERM or SIGINT; `process` says which topics it needs. Its errors go to the caller."""
    gc.set_threshold(*COLLECT)
    monitoring = Monitoring(settings.monitoring.host, settings.monitoring.port)
    try:
        if process is not None:
            asyncio.run(topics.require(settings.kafka, settings.topics, rights(settings)[process].topics))
        asyncio.run(_serve(make, monitoring))
    finally:
        monitoring.close()


async def _serve(make: Callable[[], Service], monitoring: Monitoring) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    service = make()
    monitoring.not_ready = service.not_ready
    log.info("started", monitoring_port=monitoring.port)
    await service.run(stop)
    log.info("stopped")
