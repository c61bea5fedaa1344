"""`rendercast top`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import click

from rendercast.cli.screen import console, finish
from rendercast.settings import load

if TYPE_CHECKING:
    from rendercast.top.figures import Figures


@click.command()
@click.option("--interval", type=click.FloatRange(0.2, 3600), default=2, show_default=True, help="Seconds.")
@click.option("--once", is_flag=True, help="Show the figures once, and end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object each time; also where output is no terminal.")
def top(*, interval: float, once: bool, as_json: bool) -> None:
    """Watch lag, rates, the oldest job, and which of the upstream's voices wins. Ctrl-C ends it.

    It reads the topics, so it needs no Prometheus; the first figures come when the jobs have been read. Lag is what a
    process has not committed, in offsets: the end of a transaction takes one, so that one or two a partition can stay.
    The connector commits nothing. Rates need a second look.
    """
    settings = load()
    from rendercast.top.watch import Watch

    async def watch() -> None:
        with (
            _lines()
            if as_json or not (once or sys.stdout.isatty())
            else _screen(settings.kafka.bootstrap_servers) as show
        ):
            async with aclosing(Watch(settings).figures(interval)) as found:
                async for each in found:
                    show(each)
                    if once:
                        return

    finish(watch())


@contextmanager
def _lines() -> "Iterator[Callable[[Figures], None]]":
    import orjson

    yield lambda figures: click.echo(orjson.dumps(figures.as_dict()))


@contextmanager
def _screen(broker: str) -> "Iterator[Callable[[Figures], None]]":
    from rich.live import Live

    from rendercast.top.screen import render

    if not sys.stdout.isatty():
        yield lambda figures: console().print(render(figures, broker))
        return
    with Live(console=console(), auto_refresh=False) as shown:
        yield lambda figures: shown.update(render(figures, broker), refresh=True)
