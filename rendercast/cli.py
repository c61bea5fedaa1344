"""`rendercast …`: what a person or a container types. Each command imports what it needs when it runs."""

import asyncio
import sys
from typing import NoReturn

import click

from rendercast import logs
from rendercast.settings import Settings, load
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
def processor() -> None:
    """Run the processor: commands and observations in, documents and outcomes out."""
    settings = _start("processor")
    from rendercast.processor import run

    run(settings)


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
