"""`rendercast …`: what a person or a container types. Each command imports what it needs when it runs."""

import asyncio
import sys
from typing import Any, NoReturn, get_args

import click

from rendercast import logs
from rendercast.settings import Settings, load
from schemas.base import Kind, is_uuid
from schemas.errors import StopProcess


class _Program(click.Group):
    """Says what an operator has to do in one line, without a traceback, and exits with status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StopProcess as error:
            _give_up(error)


def _give_up(error: StopProcess) -> NoReturn:
    click.echo(f"rendercast: {error}", err=True)
    sys.exit(1)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rendercast")
def main() -> None:
    """Turn a generative-media API's SSE and polling into Kafka events that announce each outcome once.

    Settings come from the environment: RENDERCAST_<SECTION>__<FIELD>; `rendercast config` shows them.
    """


def _start(process: str) -> Settings:
    settings = load()
    logs.set_up(process, settings.log.level)
    return settings


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object on the last line.")
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C.")
def demo(*, as_json: bool, keep: bool) -> None:
    """Run the whole path on a real Kafka against a faulty upstream, and check what came out.

    Takes a broker that is named (RENDERCAST_KAFKA__BOOTSTRAP_SERVERS), else Docker, else Java with Maven.
    """
    from rendercast.demo.run import run

    sys.exit(run(as_json=as_json, keep=keep))


@main.command()
def connector() -> None:
    """Run the connector: watches in, observations of the upstream out."""
    settings = _start("connector")
    from connectors.upstream import Connector
    from rendercast.processes import run

    run(lambda: Connector(settings.connector, settings.kafka, settings.topics.names), settings)


@main.command()
def processor() -> None:
    """Run the processor: commands and observations in, documents and outcomes out."""
    settings = _start("processor")
    from rendercast.processor import run

    run(settings)


@main.group()
def sink() -> None:
    """Run a sink."""


@sink.command("chats")
def sink_chats() -> None:
    """Run the chat sink: artifacts into the chat database."""
    settings = _start("sink-chats")
    from connectors.chats import ChatSink
    from rendercast.processes import run

    run(lambda: ChatSink(settings.chats, settings.kafka, settings.topics.names), settings)


@sink.command("storage")
def sink_storage() -> None:
    """Run the storage sink: results from the upstream into the object store."""
    settings = _start("sink-storage")
    from connectors.storage import StorageSink
    from rendercast.processes import run

    run(lambda: StorageSink(settings.storage, settings.kafka, settings.topics.names), settings)


@main.command()
def gateway() -> None:
    """Run the gateway: REST, event streams and a page for browsers."""
    settings = _start("gateway")
    from connectors.gateway import Gateway
    from rendercast.processes import run

    run(lambda: Gateway(settings.gateway, settings.kafka, settings.topics.names), settings)


@main.command()
def simulator() -> None:
    """Run the upstream simulator: the upstream's API, and its faults."""
    settings = _start("simulator")
    from rendercast.processes import run
    from rendercast.simulator import Simulator

    run(lambda: Simulator(settings.simulator), settings)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def config(*, as_json: bool) -> None:
    """Show all settings, with secrets masked, by the name of their environment variable."""
    settings = load()
    from rendercast.settings import flat

    if as_json:
        click.echo(settings.model_dump_json())
    else:
        for name, value in flat(settings):
            click.echo(f"{name}={value}")


@main.command()
@click.option("--channel", help="What the bytes on standard input came from: file.<uuid>, project.<uuid>, user.<uuid>.")
@click.option("--endpoint", help="Read a REST answer instead: generate-video, generate-image, file or project.")
@click.option("--json-lines", is_flag=True, help="Standard input has one frame's JSON a line, not raw SSE bytes.")
def parse(channel: str | None, endpoint: str | None, *, json_lines: bool) -> None:
    """Print what the parser makes of an event stream or an answer: one JSON object a line.

    Observations go to standard output; what was ignored or is broken, with the reason, to standard error.
    """
    from rendercast.parse import parse_stream, read_channel

    sys.exit(parse_stream(sys.stdin.buffer, *read_channel(channel, endpoint), json_lines=json_lines))


@main.group()
def db() -> None:
    """The chat database's schema."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the chat database, and the local store if one is set, to this release's schema."""
    settings = load()
    from rendercast.databases import upgrade

    for line in asyncio.run(upgrade(settings.chats)):
        click.echo(line)


@db.command("check")
def db_check() -> None:
    """Say at which revision the databases are; exit status 1 if one needs an upgrade."""
    settings = load()
    from rendercast.databases import check

    lines, fits = asyncio.run(check(settings.chats))
    for line in lines:
        click.echo(line)
    sys.exit(0 if fits else 1)


@main.group()
def topics() -> None:
    """Make the topics, or say how they differ from the settings."""


@topics.command("apply")
def topics_apply() -> None:
    """Make the topics that are missing."""
    settings = load()
    from rendercast import topics as admin

    made = asyncio.run(admin.apply(settings.kafka, settings.topics))
    click.echo(f"made: {', '.join(made)}" if made else "nothing to make")


@topics.command("check")
def topics_check() -> None:
    """Say what differs; exit status 1 if anything does."""
    settings = load()
    from rendercast import topics as admin

    found = asyncio.run(admin.check(settings.kafka, settings.topics))
    for each in found:
        click.echo(each)
    if found:
        sys.exit(1)
    click.echo("the topics are as the settings say")


class _FileId(click.ParamType):
    name = "file_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_uuid(value):
            self.fail(f"{value!r} is not a UUID", param, ctx)
        return str(value).lower()


_FILE_ID = _FileId()


@main.group()
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
