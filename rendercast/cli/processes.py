"""The five processes and the simulator."""

import click

from rendercast import logs
from rendercast.settings import Settings, load


def _start(process: str) -> Settings:
    settings = load()
    logs.set_up(process, settings.log.level)
    return settings


@click.command()
def connector() -> None:
    """Run the connector: watches in, observations of the upstream out."""
    settings = _start("connector")
    from connectors.upstream.service import Connector
    from rendercast.processes import run

    run(lambda: Connector(settings.connector, settings.kafka, settings.topics.names), settings)


@click.command()
def processor() -> None:
    """Run the processor: commands and observations in, documents and outcomes out."""
    settings = _start("processor")
    from rendercast.processor import run

    run(settings)


@click.group()
def sink() -> None:
    """Run a sink."""


@sink.command("chats")
def sink_chats() -> None:
    """Run the chat sink: artifacts into the chat database."""
    settings = _start("sink-chats")
    from connectors.chats.sink import ChatSink
    from rendercast.processes import run

    run(lambda: ChatSink(settings.chats, settings.kafka, settings.topics.names), settings)


@sink.command("storage")
def sink_storage() -> None:
    """Run the storage sink: results from the upstream into the object store."""
    settings = _start("sink-storage")
    from connectors.storage.sink import StorageSink
    from rendercast.processes import run

    run(lambda: StorageSink(settings.storage, settings.kafka, settings.topics.names), settings)


@click.command()
def gateway() -> None:
    """Run the gateway: REST, event streams and a page for browsers."""
    settings = _start("gateway")
    from connectors.gateway.gateway import Gateway
    from rendercast.processes import run

    run(lambda: Gateway(settings.gateway, settings.kafka, settings.topics.names), settings)


@click.command()
def simulator() -> None:
    """Run the upstream simulator: the upstream's API, and its faults."""
    settings = _start("simulator")
    from rendercast.processes import run
    from rendercast.simulator.server import Simulator

    run(lambda: Simulator(settings.simulator), settings, needs_topics=False)
