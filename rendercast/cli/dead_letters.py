"""`rendercast dead-letters`."""

import sys
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any

import click
import orjson

from rendercast.cli.moments import Moment
from rendercast.cli.screen import console, finish
from rendercast.settings import Settings, load
from schemas.dead_letters import Place
from schemas.errors import StopProcess

ROWS = 50
WIDE = 100


class _Place(click.ParamType):
    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, Place):
            return value
        try:
            return Place.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--until", type=Moment(), help="Buried before this time, or span before now."),
        click.option("--since", type=Moment(), help="Buried since: 2026-01-02T03:04:05Z, 2026-01-02, 2h, 3d."),
        click.option("--by", help="Only letters that this process gave up on."),
        click.option("--topic", help="Only letters that came from this topic; its prefix may be left out."),
        click.option("--reason", "reasons", multiple=True, help="Only letters with this reason; may be given again."),
    ):
        command = option(command)
    return command


def _selection(
    settings: Settings, reasons: tuple[str, ...], topic: str | None, by: str | None,
    since: datetime | None, until: datetime | None, places: tuple[Place, ...] = (),
) -> Any:  # fmt: skip
    from rendercast.dead_letters.letters import Selection
    from rendercast.dead_letters.words import BY_PREFIX

    topics = frozenset({topic, settings.topics.prefix + topic} if topic else ())
    bys = frozenset({by, BY_PREFIX + by} if by else ())
    return Selection(frozenset(reasons), topics, bys, since, until, frozenset(places))


@click.group("dead-letters")
def dead_letters() -> None:
    """See what could not be worked on, and send it again."""


@dead_letters.command("list")
@_filters
@click.option(
    "--state", type=click.Choice(["open", "replayed", "all"]), default="open", show_default=True,
    help="Open: not sent again.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 100_000), help=f"The newest.  [default: {ROWS}; with --json all]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, without the value.")
def dead_letters_list(*, state: Any, limit: int | None, as_json: bool, **filters: Any) -> None:
    """List dead letters, and count them by reason and topic."""
    settings = load()
    from rendercast.dead_letters import shelf, words

    selection = _selection(settings, **filters)

    async def stream() -> None:
        async for letter, replayed in shelf.select(settings, selection, state):
            click.echo(orjson.dumps(words.line(letter, replayed=replayed)))

    if as_json and limit is None:
        finish(stream())
        return
    found = finish(shelf.listing(settings, selection, state, limit or ROWS))
    if as_json:
        for row in found.rows:
            click.echo(orjson.dumps(row))
        return
    total, kind = found.counts.total(), "" if state == "all" else f"{state} "
    if not total:
        click.echo(f"no {kind}dead letters")
        return
    screen, prefix = console(), settings.topics.prefix
    screen.print(words.listed(found.rows, prefix, with_by=screen.width >= WIDE, with_state=state != "open"))
    if len(found.rows) < total:
        click.echo(f"these are the newest {len(found.rows):,}; --limit shows more")
    click.echo(f"\n{total:,} {kind}dead letter{'s' if total > 1 else ''}\n")
    screen.print(words.counted(found.counts, prefix))


@dead_letters.command("show")
@click.argument("place", type=_Place())
@click.option("--raw", is_flag=True, help="Write the value's bytes as they came, and nothing else.")
def dead_letters_show(place: Place, *, raw: bool) -> None:
    """Show all of one letter. PLACE is what the list calls it: partition:offset."""
    settings = load()
    from rendercast.dead_letters import shelf, words
    from schemas.codec import timestamp

    letter, replays = finish(shelf.look(settings, place))
    if raw:
        sys.stdout.buffer.write(letter.told.value or b"")
        return
    for each in words.shown(letter, [timestamp(at) for at in replays]):
        click.echo(each)


@dead_letters.command("replay")
@click.argument("places", type=_Place(), nargs=-1)
@_filters
@click.option("--all", "all_", is_flag=True, help="All that are open: instead of places and filters.")
@click.option("--again", is_flag=True, help="Also what was replayed before.")
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what would be sent.")
def dead_letters_replay(places: tuple[Place, ...], *, all_: bool, again: bool, yes: bool, **filters: Any) -> None:
    """Send letters again, to the topic and partition they came from.

    What was replayed is marked in the same transaction, and is not sent again. Exit status 1 if a place has no letter.
    """
    if all_ == bool(places or any(filters.values())):
        raise click.UsageError("say which: places, filters, or --all for all of them")
    settings = load()
    from rendercast.dead_letters import replay
    from rendercast.dead_letters.words import Tally

    selection = _selection(settings, **filters, places=places)
    tally, missing = Tally(), set(places)

    async def send() -> None:
        async with aclosing(replay.replay(settings, selection, again=again)) as chunks:
            async for chunk in chunks:
                tally.add(chunk)
                missing.difference_update(each.letter.place for each in chunk)
                if any(each.why_not is None for each in chunk) and len(chunk) == replay.CHUNK_LETTERS:  # more to come
                    click.echo(f"sent so far: {tally.sent.total():,}", err=True)

    async def rehearse() -> None:
        async with aclosing(replay.rehearse(settings, selection, again=again)) as decisions:
            async for each in decisions:
                tally.add([each])
                missing.discard(each.letter.place)

    finish(send() if yes else rehearse())
    _report(tally, settings.topics.prefix, yes=yes)
    if missing:
        raise StopProcess(f"no such letter, or not one the filters admit: {', '.join(map(str, sorted(missing)))}")


def _report(tally: Any, prefix: str, *, yes: bool) -> None:
    from rendercast.dead_letters import words

    screen, total = console(), tally.sent.total()
    click.echo(f"{'sent' if yes else 'would send'}: {total:,} letter{'' if total == 1 else 's'}")
    if tally.sent:
        click.echo()
        screen.print(words.counted(tally.sent, prefix))
    if tally.left:
        click.echo()
        screen.print(tally.lefts())
    if total and not yes:
        click.echo("\nnothing was sent; --yes sends")
