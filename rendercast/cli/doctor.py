"""`rendercast doctor`."""

import sys
from typing import TYPE_CHECKING

import click

from rendercast.cli.screen import console, finish
from rendercast.settings import load
from schemas.errors import StopProcess

if TYPE_CHECKING:
    from rendercast.doctor.finding import Finding

_MARKS = {"good": "[green]good    [/]", "doubtful": "[yellow]doubtful[/]", "wrong": "[red]wrong   [/]"}
_SUBJECTS = ("kafka", "upstream", "database", "store", "gateway")
_PROCESSES = ("connector", "processor", "chats", "storage", "gateway")


@click.command()
@click.option("--only", multiple=True, type=click.Choice(_SUBJECTS), help="Look at this alone; may be repeated.")
@click.option(
    "--process", "processes", multiple=True, type=click.Choice(_PROCESSES),
    help="Ask for the Kafka rights of this process; may be repeated. By default all: one user for everything.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
def doctor(only: tuple[str, ...], processes: tuple[str, ...], *, as_json: bool) -> None:
    """Look at everything that the processes need, and say what is wrong and what to do next.

    Brokers, topics, rights; the upstream, its token and its streams; the chat database; the object store, by an object
    that is written and deleted; the gateway's keys; clocks. Exit status 1 if anything is wrong, 2 if settings are.
    """
    import orjson

    from rendercast.doctor.finding import wrong

    def tell(finding: "Finding") -> None:
        if as_json:
            click.echo(orjson.dumps(finding.as_dict()))
            return
        from rich.markup import escape

        console().print(f"{_MARKS[finding.state]}  {escape(f'{finding.about}: {finding.words}')}")
        if finding.next:
            console().print(f"          → {escape(finding.next)}")

    try:
        settings = load()
    except StopProcess as error:
        tell(wrong("settings", str(error), "Correct what is named; `rendercast config` shows all settings."))
        sys.exit(2)
    from rendercast.doctor.run import run

    async def examine() -> bool:
        fine = True
        async for each in run(settings, only or _SUBJECTS, processes or _PROCESSES):  # type: ignore[arg-type]
            tell(each)
            fine = fine and each.state != "wrong"
        return fine

    sys.exit(0 if finish(examine()) else 1)
