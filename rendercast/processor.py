"""Starting the Faust worker in this process."""

import asyncio
import gc

import faust
import structlog

from rendercast import topics
from rendercast.monitoring import Monitoring
from rendercast.rights import rights
from rendercast.settings import Settings
from streams.app import create_app
from tracing import OFF, Tracing

log = structlog.get_logger()


COLLECT = (200_000, 50, 1_000)
"""When the garbage collector looks at new, older and old objects. As Python has it, it takes a sixth of the processor's
time to find nothing: records have no cycles."""


def run(settings: Settings, tracing: Tracing = OFF) -> None:
    """Returns after SIGTERM or SIGINT, when the partitions have been handed over."""
    gc.set_threshold(*COLLECT)
    monitoring = Monitoring(settings.monitoring.host, settings.monitoring.port)
    asyncio.run(topics.require(settings.kafka, settings.topics, rights(settings)["processor"].topics))
    app = create_app(settings.kafka, settings.topics, settings.processor, tracing)
    monitoring.not_ready = app.transport.lanes.not_ready
    log.info("started", monitoring_port=monitoring.port)
    # Faust's own set-up of logging would replace ours, and turns the root logger to DEBUG at level WARN and above
    worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True, loglevel="INFO")
    worker.execute_from_commandline()
