"""Switch each guard off and expect its tests to fail: `python -m tests.prove [--quick] [--only NAME]`."""

import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from rendercast.broker.obtain import kafka as obtain_kafka
from schemas.errors import StopProcess

from .mutations import MUTATIONS, Mutation
from .runs import VANISHED, Run, is_on_kafka, run, time_for

PROJECT = Path(__file__).parents[2]
PACKAGES = ("schemas", "brokers", "tracing", "streams", "connectors", "rendercast")
COPIED = (*PACKAGES, "tests", "pyproject.toml", "README.md")
BROKER = "RENDERCAST_KAFKA__BOOTSTRAP_SERVERS"
SECONDS_UNCHANGED = 600

_seconds = itertools.count(1)
"""Between two versions of a file: Python tells them by size and second when it looks for what it has compiled."""

console = Console(width=None if sys.stdout.isatty() else 160)


@contextlib.contextmanager
def copy_of_the_project() -> Iterator[Path]:
    """Files to change without changing any of ours."""
    with tempfile.TemporaryDirectory(prefix="prove-") as found:
        directory = Path(found)
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(source, directory / name)
        yield directory


@contextlib.contextmanager
def switched_off(mutation: Mutation, directory: Path) -> Iterator[None]:
    """The guard is gone until the block ends. Raises StopProcess where its text does not stand there once."""
    file = directory / mutation.file
    before = file.read_text()
    if (times := before.count(mutation.old)) != 1:
        raise StopProcess(f"{mutation.name}: its text stands {times} times in {mutation.file}")
    after = before.replace(mutation.old, mutation.new)
    compile(after, mutation.file, "exec")
    written = file.stat().st_mtime
    file.write_text(after)
    os.utime(file, (written, written + next(_seconds)))
    try:
        yield
    finally:
        file.write_text(before)
        os.utime(file, (written, written))


@contextlib.contextmanager
def broker(mutations: Sequence[Mutation]) -> Iterator[dict[str, str]]:
    """Environment of the tests: a broker where one is needed."""
    if not any(each.needs_kafka for each in mutations):
        yield {}
        return
    with (
        tempfile.TemporaryDirectory(prefix="prove-kafka-", ignore_cleanup_errors=True) as directory,
        obtain_kafka(os.environ.get(BROKER), Path(directory), console.print) as servers,
    ):
        yield {BROKER: servers, "CI": "1"}  # no test skips in silence


def unchanged(mutations: Sequence[Mutation], directory: Path, environment: dict[str, str]) -> None:
    """Every named test passes as things are, or nothing is proven by its failing. Raises StopProcess."""
    tests = sorted({test for each in mutations for test in each.tests}, key=is_on_kafka)
    found = run(directory, tests, environment, SECONDS_UNCHANGED)
    wrong = {test: found.of(test) for test in tests if found.of(test) != "passed"}
    if wrong:
        told = "\n".join(f"  {test}: {outcome}" for test, outcome in wrong.items())
        raise StopProcess(f"with every guard in place these do not pass:\n{told}\n{found.words[-3_000:]}")
    console.print(f"{len(tests)} tests pass with every guard in place")


def is_proven(mutation: Mutation, found: Run) -> bool:
    """Every test named has failed, or took pytest with it, by a status that is not 0."""
    return all(found.of(test) in ("failed", VANISHED) for test in mutation.tests)


def verdict(mutation: Mutation, found: Run) -> str:
    """In words, for the table."""
    outcomes = {test: found.of(test) for test in mutation.tests}
    if set(outcomes.values()) == {VANISHED}:
        return f"pytest ended with status {found.status}"
    if is_proven(mutation, found):
        return f"{len(outcomes)} failed" if len(outcomes) > 1 else "failed"
    return "; ".join(
        f"{outcome}: {test.rpartition('::')[2]}" for test, outcome in outcomes.items() if outcome != "failed"
    )


def prove(mutations: Sequence[Mutation]) -> list[str]:
    """Print the table; the names of the guards that no test misses."""
    table = Table(title="Guards, switched off one at a time", title_justify="left")
    for column in ("", "of", "guard", "what its tests did", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    unproven = []
    with copy_of_the_project() as directory, broker(mutations) as environment:
        unchanged(mutations, directory, environment)
        for number, each in enumerate(mutations, 1):
            started = time.monotonic()
            with switched_off(each, directory):
                found = run(directory, each.tests, environment, time_for(each))
            seconds = time.monotonic() - started
            proven = is_proven(each, found)
            mark = "[green]proven[/]" if proven else "[red]UNPROVEN[/]"
            console.print(f"{number:>3}/{len(mutations)} {mark} {each.name} ({seconds:.1f} s)", highlight=False)
            if not proven:
                unproven.append(each.name)
                console.print(found.words[-2_000:], markup=False, highlight=False)
            table.add_row(mark, each.point, each.name, verdict(each, found), f"{seconds:.1f}")
    console.print(table)
    return unproven


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="guards whose name contains this; may be given often")
@click.option("--quick", is_flag=True, help="only what needs no Kafka")
def main(only: tuple[str, ...], quick: bool) -> None:
    """Switch off each guard of the processor, in a copy, and expect the tests named for it to fail.

    Ends with status 1 where a guard can be switched off and nobody notices.
    """
    wanted = [each for each in MUTATIONS if not only or any(part in each.name for part in only)]
    if quick:
        wanted = [each for each in wanted if not each.needs_kafka]
    if not wanted:
        raise click.UsageError("no guard has such a name")
    started = time.monotonic()
    try:
        unproven = prove(wanted)
    except StopProcess as error:
        raise click.ClickException(str(error)) from error
    console.print(f"{len(wanted) - len(unproven)} of {len(wanted)} guards proven in {time.monotonic() - started:.0f} s")
    for name in unproven:
        console.print(f"[red]not proven[/]: {name}")
    sys.exit(1 if unproven else 0)


if __name__ == "__main__":
    main()
