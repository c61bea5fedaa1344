"""`rendercast jobs`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import click

from rendercast.cli.screen import console, finish
from rendercast.settings import load
from schemas.base import Kind, is_uuid
from schemas.errors import RejectRecord, StopProcess
from schemas.jobs import JobView, Status

if TYPE_CHECKING:
    from rich.table import Table


class _FileId(click.ParamType):
    name = "file_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_uuid(value):
            self.fail(f"{value!r} is not a UUID", param, ctx)
        return str(value).lower()


_FILE_ID = _FileId()


@click.group()
def jobs() -> None:
    """Track files and see their jobs."""


@jobs.command("track")
@click.argument("file_id", type=_FILE_ID)
@click.option("--kind", type=click.Choice(get_args(Kind)), required=True)
@click.option("--request-id", help="Marks the generation.")
@click.option("--project-id")
@click.option("--user-id")
@click.option("--chat-id", help="The chat that shows the result.")
@click.option("--message-id", help="The message in that chat.")
@click.option("--deadline-seconds", type=float)
def jobs_track(chat_id: str | None, message_id: str | None, **fields: Any) -> None:
    """Watch a file until its current generation has ended."""
    from rendercast import jobs as client
    from schemas import ChatRef, Track, utcnow

    if message_id and not chat_id:
        raise click.UsageError("--message-id needs --chat-id")

    def track() -> Track:
        chat = ChatRef(chat_id=chat_id, message_id=message_id) if chat_id else None
        return Track(**fields, chat=chat, issued_at=utcnow())

    _send(client, track)


@jobs.command("check")
@click.argument("file_id", type=_FILE_ID)
def jobs_check(file_id: str) -> None:
    """Look at the file once, now."""
    from rendercast import jobs as client
    from schemas import Check, utcnow

    _send(client, lambda: Check(file_id=file_id, issued_at=utcnow()))


@jobs.command("cancel")
@click.argument("file_id", type=_FILE_ID)
@click.option("--generation", help="Only if this is the current one.")
def jobs_cancel(file_id: str, generation: str | None) -> None:
    """End the job."""
    from rendercast import jobs as client
    from schemas import Cancel, utcnow

    _send(client, lambda: Cancel(file_id=file_id, generation=generation, issued_at=utcnow()))


def _send(client: Any, make: Any) -> None:
    from pydantic import ValidationError

    from schemas.codec import encode, explain

    try:
        command = make()
    except ValidationError as error:
        raise click.UsageError(explain(error)) from error
    finish(client.send(load(), [command]))
    click.echo(encode(command))


@jobs.command("show")
@click.argument("file_id", type=_FILE_ID)
def jobs_show(file_id: str) -> None:
    """Print the file's job as JSON; exit status 1 if nobody tracks it."""
    from rendercast import jobs as client
    from schemas.codec import encode

    found = finish(client.show(load(), file_id))
    if found is None:
        raise StopProcess(f"no job of {file_id}: nobody tracks it, or it is forgotten")
    click.echo(encode(found))


@jobs.command("save")
@click.option(
    "--as", "form", type=click.Choice(["track", "check"]), default="track", show_default=True, help="Which command."
)
def jobs_save(form: str) -> None:
    """Print a command for each job that has not ended, one JSON object a line: for `rendercast jobs send`.

    `track` tracks it again, in the same generation and with what is left of its time; `check` looks at it once.
    """
    settings = load()
    from rendercast import rescue
    from schemas.codec import encode

    for each in finish(rescue.unfinished(settings, form)):  # type: ignore[arg-type] # click has checked it
        click.echo(encode(each))


@jobs.command("send")
def jobs_send() -> None:
    """Send the commands on standard input, one JSON object a line. Nothing is sent if any line is wrong.

    Empty lines are passed over.
    """
    settings = load()
    from rendercast import jobs as client
    from schemas.codec import decode_command

    commands = []
    for number, line in enumerate(map(bytes.strip, sys.stdin.buffer), 1):
        if not line:
            continue
        try:
            commands.append(decode_command(line))
        except RejectRecord as error:
            raise StopProcess(f"line {number}: {error}") from error
    click.echo(f"sent: {finish(client.send(settings, commands))}")


@jobs.command("list")
@click.option("--status", type=click.Choice(get_args(Status)))
@click.option("--kind", type=click.Choice(get_args(Kind)))
@click.option("--project-id")
@click.option("--user-id")
@click.option("--overdue", is_flag=True, help="Past its deadline, and not ended.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show no more than so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def jobs_list(*, limit: int, as_json: bool, **filters: Any) -> None:
    """List jobs: the unfinished ones first, each part by its last change, newest first."""
    settings = load()
    from rendercast import jobs as client
    from schemas.codec import encode

    found = finish(client.find(settings, client.Filters(**filters)))
    if as_json:
        for each in found[:limit]:
            click.echo(encode(each))
        return
    console().print(_table(found[:limit]))
    if len(found) > limit:
        click.echo(f"and {len(found) - limit:,} more (--limit)")


def _table(found: list[JobView]) -> "Table":
    from rendercast.tables import cell, table
    from schemas import utcnow

    now, shown = utcnow(), table("file", "kind", "status", "%", "tracked", "project", "told")
    for each in found:
        status = each.outcome or each.status
        late = " (overdue)" if each.outcome is None and each.deadline_at < now else ""
        age = _age((now - each.tracked_at).total_seconds())
        told = each.url or each.message or ""
        row = (each.file_id, each.kind, status + late, f"{each.progress:.0f}", age, each.project_id or "", told)
        shown.add_row(*map(cell, row))
    return shown


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"


@jobs.command("watch")
@click.argument("file_ids", metavar="FILE_ID...", type=_FILE_ID, nargs=-1, required=True)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object at each change; also where output is no terminal."
)
def jobs_watch(file_ids: tuple[str, ...], *, as_json: bool) -> None:
    """Show jobs at every change until all have ended; exit status 1 unless all completed."""
    settings = load()
    from rendercast import jobs as client

    outcomes: dict[str, str | None] = {}

    async def follow() -> None:
        with _bars(file_ids) if sys.stdout.isatty() and not as_json else _lines() as show:
            async for view in client.follow(settings, file_ids):
                show(view)
                outcomes[view.file_id] = view.outcome

    finish(follow())
    sys.exit(0 if set(outcomes.values()) == {"completed"} else 1)


@contextmanager
def _lines() -> Iterator[Callable[[JobView], None]]:
    from schemas.codec import encode

    yield lambda view: click.echo(encode(view))


@contextmanager
def _bars(file_ids: tuple[str, ...]) -> Iterator[Callable[[JobView], None]]:
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from rendercast.tables import printable

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console()) as shown:
        tasks = {each: shown.add_task(each, total=100, told="not tracked yet") for each in file_ids}

        def show(view: JobView) -> None:
            told = " ".join(filter(None, (view.outcome or view.status, view.url or view.message)))
            shown.update(tasks[view.file_id], completed=view.progress, told=escape(printable(told)))

        yield show
