"""`rendercast storage`."""

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any

import click
import orjson

from rendercast.cli.moments import Moment
from rendercast.cli.screen import bar, console, finish
from rendercast.settings import load


@click.group()
def storage() -> None:
    """Compare the object store with what was told of it, and fill it."""


@storage.command("verify")
@click.option("--quick", is_flag=True, help="Compare sizes only; the objects are not read.")
@click.option("--since", type=Moment(), help="Only what was stored since: 2026-01-02T03:04:05Z, 2026-01-02, 2h, 3d.")
@click.option("--limit", type=click.IntRange(1), help="Look at no more than so many.")
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True,
    help="Objects at once; each holds a few MiB while it is read.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, and the summary as the last.")
def storage_verify(*, quick: bool, since: datetime | None, limit: int | None, concurrency: int, as_json: bool) -> None:
    """Read the object store again: is each copy there, as long as was told, and with the told sha256?

    Prints what is not good. What lies in another store (RENDERCAST_STORAGE__STORE_URL was another) is counted as
    elsewhere. Exit status 1 if anything is missing, damaged or unreadable.
    """
    settings = load()
    from rendercast.storage_tools.told import Progress
    from rendercast.storage_tools.verify import WRONG, verify

    counts, progress = Counter[str](), Progress()

    async def look() -> None:
        findings = verify(settings, progress, quick=quick, concurrency=concurrency, since=since, limit=limit)
        with bar("copies") as show:
            async with aclosing(findings) as found:
                async for each in found:
                    counts[each.state] += 1
                    show(counts.total(), progress.offsets, progress.of)
                    if each.state != "good":
                        click.echo(_finding(each, as_json=as_json))

    finish(look())
    wrong = sum(counts[state] for state in WRONG)
    if as_json:
        click.echo(orjson.dumps({"looked_at": counts.total(), "wrong": wrong, **counts}))
    else:
        told = ", ".join(f"{times:,} {state}" for state, times in counts.most_common())
        total = counts.total()
        click.echo(f"{total:,} {'copy' if total == 1 else 'copies'}{': ' if told else ''}{told}")
    sys.exit(1 if wrong else 0)


def _finding(found: Any, *, as_json: bool) -> str:
    from rendercast.tables import printable

    if not as_json:
        return printable(f"{found.state:11}{found.location}  {found.detail}")
    told = found.stored
    ids = {} if told is None else {"file_id": told.file_id, "generation": told.generation, "role": told.role}
    return orjson.dumps({"state": found.state, "location": found.location, "detail": found.detail, **ids}).decode()


@storage.command("backfill")
@click.option(
    "--since", type=Moment(), required=True, help="What was completed since: 2026-01-02T03:04:05Z, 2026-01-02, 2h, 3d."
)
@click.option("--until", type=Moment(), help="And before this time, or span before now.")
@click.option("--again", is_flag=True, help="Also for what `stored` has: after a loss.")
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what would be asked for.")
def storage_backfill(*, since: datetime, until: datetime | None, again: bool, yes: bool) -> None:
    """Ask the storage sink for copies of what was completed before there was one.

    Leaves out what is stored. Running it twice is harmless: the sink looks, and finds the copy.
    """
    settings = load()
    from rendercast.storage_tools import backfill

    asked, there = Counter[tuple[str, str]](), Counter[str]()

    def count(part: Iterable[Any]) -> None:
        there.update(each.request.role for each in part if each.there)
        asked.update((each.request.kind, each.request.role) for each in part if not each.there)

    async def ask() -> None:
        async with aclosing(backfill.ask(settings, since, until, again=again)) as parts:
            async for part in parts:
                count(part)
                if len(part) == backfill.PART:  # there may be many more
                    click.echo(f"asked so far: {asked.total():,}", err=True)

    async def rehearse() -> None:
        async with aclosing(backfill.find(settings, since, until, again=again)) as found:
            async for each in found:
                count([each])

    finish(ask() if yes else rehearse())
    total = asked.total()
    click.echo(f"stored already: {there.total():,}")
    click.echo(f"{'asked for' if yes else 'would ask for'}: {total:,}")
    if total:
        click.echo()
        console().print(_kinds(asked))
    if total and not yes:
        click.echo("\nnothing was sent; --yes sends")


def _kinds(asked: Counter[tuple[str, str]]) -> Any:
    from rendercast.tables import count_table

    found = count_table("copies", "kind", "role")
    for (kind, role), times in asked.most_common():
        found.add_row(f"{times:,}", kind, role)
    return found
