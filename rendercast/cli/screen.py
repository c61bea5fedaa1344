"""What commands share that write tables for people and lines for programs."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

_ANY_WIDTH = 10_000


def console() -> "Console":
    """For standard output. Only a terminal has a width: what goes into a file or a pipe is not cut."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _ANY_WIDTH)


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int, int], None]]:
    """Shows how many so far, and how far of how much that is: on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.fields[count]:,} {task.description}"), BarColumn(), TimeRemainingColumn())
    shown = Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
        redirect_stdout=sys.stdout.isatty(),  # else what goes into a file would be printed beside the bar
    )  # fmt: skip
    with shown:
        task = shown.add_task(what, total=None, count=0)
        yield lambda count, done, of: shown.update(task, completed=done, total=of, count=count)


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; Ctrl-C ends the command with 130."""
    try:
        with _without_logs(), asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(_unheard)
            return runner.run(work)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)


def _unheard(_: asyncio.AbstractEventLoop, __: dict[str, Any]) -> None:
    """The client's errors that nobody awaited any more, because the first of them was raised."""


@contextmanager
def _without_logs() -> Iterator[None]:
    """What ends a command is raised and told in our words; the rooms' and the client's lines would stand around it."""
    import structlog

    logger, processors = logging.getLogger("aiokafka"), structlog.get_config()["processors"]
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        logger.setLevel(level)
        structlog.configure(processors=processors)


def _drop(*_: object) -> NoReturn:
    from structlog import DropEvent

    raise DropEvent
