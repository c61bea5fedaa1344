"""The five processes and the simulator."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rendercast import logs
from rendercast.settings import Settings, load
from rendercast.simulator.faults import PRESETS, Faults, menu
from tracing import Tracing, started


def _start(process: str) -> Settings:
    signal.signal(signal.SIGTERM, _leave)
    settings = load()
    logs.set_up(process, settings.log.level)
    return settings


def _leave(_number: int, _frame: object) -> None:
    """Until the service hears signals itself, there is nothing to end. A container's first process ignores this one."""
    sys.exit(0)


@contextmanager
def _traced(process: str) -> Iterator[tuple[Settings, Tracing]]:
    settings = _start(process)
    with started(settings.tracing, process) as tracing:
        yield settings, tracing


@click.command()
def connector() -> None:
    """Run the connector: watches in, observations of the upstream out."""
    from connectors.upstream.service import Connector
    from rendercast.processes import run

    with _traced("connector") as (settings, tracing):
        names = settings.topics.names
        run(lambda: Connector(settings.connector, settings.kafka, names, tracing), settings, "connector")


@click.command()
def processor() -> None:
    """Run the processor: commands and observations in, documents and outcomes out."""
    from rendercast.processor import run

    with _traced("processor") as (settings, tracing):
        run(settings, tracing)


@click.group()
def sink() -> None:
    """Run a sink."""


@sink.command("chats")
def sink_chats() -> None:
    """Run the chat sink: artifacts into the chat database."""
    from connectors.chats.sink import ChatSink
    from rendercast.processes import run

    with _traced("sink-chats") as (settings, tracing):
        run(lambda: ChatSink(settings.chats, settings.kafka, settings.topics.names, tracing), settings, "chats")


@sink.command("storage")
def sink_storage() -> None:
    """Run the storage sink: results from the upstream into the object store."""
    from connectors.storage.sink import StorageSink
    from rendercast.processes import run

    with _traced("sink-storage") as (settings, tracing):
        names = settings.topics.names
        run(lambda: StorageSink(settings.storage, settings.kafka, names, tracing), settings, "storage")


@click.command()
def gateway() -> None:
    """Run the gateway: REST, event streams and a page for browsers."""
    from connectors.gateway.gateway import Gateway
    from rendercast.conversing import turns
    from rendercast.generating import generator
    from rendercast.processes import run

    with _traced("gateway") as (settings, tracing):

        def make() -> Gateway:
            upstream, chats = generator(settings.connector), turns(settings.chats)
            return Gateway(settings.gateway, settings.kafka, settings.topics.names, upstream, chats, tracing)

        run(make, settings, "gateway")


class _Rate(click.ParamType):
    """`NAME=RATE`."""

    name = "NAME=RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, _, rate = value.partition("=")
        if name not in Faults.model_fields:
            self.fail(f"{name!r} is not a fault; the menu stands below --help", param, ctx)
        return name, float(click.FloatRange(0, 1).convert(rate, param, ctx))


def _menu() -> str:
    """The faults, by what they are drawn for."""
    lines: list[str] = []
    drawn = ""
    for fault in menu():
        if fault.drawn != drawn:
            drawn = fault.drawn
            lines.append(f"Faults, drawn per {drawn}:")
        lines.append(f"  {fault.name:21}{fault.what}")
    return "\b\n" + "\n".join(lines)


@click.command(epilog=_menu())
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="0: any free one.  [default: 0]")
@click.option("--admin-port", type=click.IntRange(0, 65_535), help="A second port, without TLS and resets.")
@click.option("--token", help="The bearer token that is asked for.  [default: simulator-token]")
@click.option("--seed", type=int, help="The same seed and the same calls give the same run.  [default: 0]")
@click.option("--speed", type=float, help="Simulated seconds per second.  [default: 1]")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Rates to begin with.  [default: none]")
@click.option("--fault", "rates", type=_Rate(), multiple=True, help="A fault's rate, 0 to 1; may be given again.")
@click.option(
    "--script", "script_file", type=click.Path(path_type=Path), help="What to make, break and heal when: TOML or JSON."
)
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="Serve TLS with this PEM file.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="The certificate's key, a PEM file.")
def simulator(*, preset: str | None, rates: tuple[tuple[str, float], ...], **options: Any) -> None:
    """Run the upstream simulator: the upstream's API, and its faults.

    What is not given here is taken from RENDERCAST_SIMULATOR__…; `rendercast config` shows it.
    docs/simulator.md says how to test a client with it.
    """
    settings = _start("simulator")
    from rendercast.processes import run
    from rendercast.simulator.server import Simulator
    from rendercast.simulator.settings import adjusted

    changes = {name: value for name, value in options.items() if value is not None}
    chosen = adjusted(settings.simulator, changes, preset=preset, rates=dict(rates))
    run(lambda: Simulator(chosen), settings)
