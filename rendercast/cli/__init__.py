"""`rendercast …`: what a person or a container types. Each command imports what it needs when it runs."""

import sys
from typing import NoReturn

import click

from rendercast.cli import dead_letters, doctor, jobs, processes, storage, tools, top, verify
from schemas.errors import RendercastError, RetryLater, StopProcess


class _Program(click.Group):
    """Says what an operator has to do in one line, without a traceback, and exits with status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (StopProcess, RetryLater) as error:
            _give_up(error)


def _give_up(error: RendercastError) -> NoReturn:
    click.echo(f"rendercast: {error}", err=True)
    sys.exit(1)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rendercast")
def main() -> None:
    """Turn a generative-media API's SSE and polling into Kafka events that announce each outcome once.

    Settings come from the environment: RENDERCAST_<SECTION>__<FIELD>; `rendercast config` shows them.
    """


for command in (
    tools.demo,
    processes.connector,
    processes.processor,
    processes.sink,
    processes.gateway,
    processes.simulator,
    tools.topics,
    tools.db,
    jobs.jobs,
    dead_letters.dead_letters,
    storage.storage,
    tools.parse,
    verify.verify,
    tools.config,
    doctor.doctor,
    top.top,
    tools.completion,
):
    main.add_command(command)
