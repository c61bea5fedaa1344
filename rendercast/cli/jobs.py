"""`rendercast jobs`."""

import asyncio
import sys
from typing import Any, get_args

import click

from rendercast.settings import load
from schemas.base import Kind, is_uuid
from schemas.errors import StopProcess


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
    chat = ChatRef(chat_id=chat_id, message_id=message_id) if chat_id else None
    _send(client, lambda: Track(**fields, chat=chat, issued_at=utcnow()))


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
    asyncio.run(client.send(load(), command))
    click.echo(encode(command))


@jobs.command("show")
@click.argument("file_id", type=_FILE_ID)
def jobs_show(file_id: str) -> None:
    """Print the file's job as JSON; exit status 1 if nobody tracks it."""
    from rendercast import jobs as client
    from schemas.codec import encode

    found = asyncio.run(client.show(load(), file_id))
    if found is None:
        raise StopProcess(f"no job of {file_id}: nobody tracks it, or it is forgotten")
    click.echo(encode(found))


@jobs.command("watch")
@click.argument("file_id", type=_FILE_ID)
def jobs_watch(file_id: str) -> None:
    """Print the file's job at every change until it has ended; exit status 1 unless it completed."""
    from rendercast import jobs as client
    from schemas.codec import encode

    settings = load()

    async def follow() -> str | None:
        outcome = None
        async for view in client.follow(settings, file_id):
            click.echo(encode(view))
            outcome = view.outcome
        return outcome

    try:
        outcome = asyncio.run(follow())
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if outcome == "completed" else 1)
