"""What people use beside the processes: the demo, settings, topics, databases, the parser."""

import sys

import click

from rendercast.cli.screen import finish
from rendercast.settings import load


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object on the last line.")
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C.")
@click.option("--seed", type=click.IntRange(0), help="Which faults are drawn; by default others each time.")
def demo(*, as_json: bool, keep: bool, seed: int | None) -> None:
    """Run the whole path on a real Kafka against a faulty upstream, and check what came out.

    Takes a broker that is named (RENDERCAST_KAFKA__BOOTSTRAP_SERVERS), else Docker, else Java with Maven.
    """
    from rendercast.demo.run import run

    sys.exit(run(as_json=as_json, keep=keep, seed=seed))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def config(*, as_json: bool) -> None:
    """Show all settings, with secrets masked, by the name of their environment variable."""
    settings = load()
    from rendercast.logs import mask_text
    from rendercast.settings import flat

    if as_json:
        click.echo(mask_text(settings.model_dump_json()))
    else:
        for name, value in flat(settings):
            click.echo(f"{name}={mask_text(value)}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete `rendercast`: `source <(rendercast completion bash)`, zsh alike;
    for fish `rendercast completion fish | source`.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "rendercast", "_RENDERCAST_COMPLETE").source())


@click.command()
@click.option("--channel", help="What the bytes on standard input came from: file.<uuid>, project.<uuid>, user.<uuid>.")
@click.option("--endpoint", help="Read a REST answer instead: generate-video, generate-image, file or project.")
@click.option("--json-lines", is_flag=True, help="Standard input has one frame's JSON a line, not raw SSE bytes.")
def parse(channel: str | None, endpoint: str | None, *, json_lines: bool) -> None:
    """Print what the parser makes of an event stream or an answer: one JSON object a line.

    Observations go to standard output; what was ignored or is broken, with the reason, to standard error.
    """
    from rendercast.parse import parse_stream, read_channel

    sys.exit(parse_stream(sys.stdin.buffer, *read_channel(channel, endpoint), json_lines=json_lines))


@click.group()
def db() -> None:
    """The chat database: our tables in it, and how an application's own fit the layout."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the chat database, and the local store if one is set, to this release's schema."""
    settings = load()
    from rendercast.databases import upgrade

    for line in finish(upgrade(settings.chats)):
        click.echo(line)


@db.command("check")
def db_check() -> None:
    """Say at which revision the databases are, and what does not fit the layout; exit status 1 if anything is wrong."""
    settings = load()
    from rendercast.databases import check

    lines, fits = finish(check(settings.chats))
    for line in lines:
        click.echo(line)
    sys.exit(0 if fits else 1)


@db.command("rewind")
@click.argument("names", nargs=-1, required=True, type=click.Choice(["artifacts", "stored"]))
def db_rewind(names: tuple[str, ...]) -> None:
    """Let the chat sinks read a topic that was made anew from its beginning. Stop all of them first.

    NAMES are without the prefix. How far the databases have read is kept in them; what they hold stays as it is.
    """
    settings = load()
    from rendercast.databases import rewind

    for line in finish(rewind(settings, [f"{settings.topics.prefix}{each}" for each in names])):
        click.echo(line)


@click.group()
def topics() -> None:
    """Make the topics, or say how they differ from the settings."""


@topics.command("apply")
def topics_apply() -> None:
    """Make the topics that are missing."""
    settings = load()
    from rendercast import topics as admin

    made = finish(admin.apply(settings.kafka, settings.topics))
    click.echo(f"made: {', '.join(made)}" if made else "nothing to make")


@topics.command("remake")
@click.argument("names", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def topics_remake(names: tuple[str, ...], *, yes: bool) -> None:
    """Delete topics with all that is in them, and make them anew. NAMES are without the prefix: jobs positions.

    For what docs/operate.md says. The processes that use them have to be stopped.
    """
    settings = load()
    from rendercast import rescue

    full = [f"{settings.topics.prefix}{each}" for each in names]
    if not yes:
        click.confirm(
            f"Delete {', '.join(full)} on {settings.kafka.bootstrap_servers}, and all that is in them?", abort=True
        )
    finish(rescue.remake(settings, full))
    click.echo(f"made anew: {', '.join(full)}")


@topics.command("rewind")
def topics_rewind() -> None:
    """Let the processor read its sources from their beginning. What it has applied, it skips.

    After `topics remake jobs positions` nothing counts as applied: all that the sources still have is applied again,
    and outcomes are announced again under the ids that they had. The processors have to be stopped.
    """
    settings = load()
    from rendercast import rescue

    finish(rescue.rewind(settings))
    click.echo("the processor will read commands and upstream from their beginning")


@topics.command("check")
def topics_check() -> None:
    """Say what differs; exit status 1 if anything does."""
    settings = load()
    from rendercast import topics as admin

    found = finish(admin.check(settings.kafka, settings.topics))
    for each in found:
        click.echo(each)
    if found:
        sys.exit(1)
    click.echo("the topics are as the settings say")
