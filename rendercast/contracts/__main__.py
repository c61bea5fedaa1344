"""`python -m rendercast.contracts write | check | release`: for those who change the contract, in a checkout."""

import sys
import tomllib

import click

from rendercast.contracts import files
from rendercast.contracts.compatibility import ADVICE


def version() -> str:
    """The version this checkout will be released as."""
    return str(tomllib.loads((files.HOME.parent / "pyproject.toml").read_text())["project"]["version"])


@click.group()
def main() -> None:
    """Schemas, AsyncAPI document and its page, made from the models."""


@main.command()
def write() -> None:
    """Make the files anew."""
    wrong = files.stale(version())
    content = files.generated(version())
    for path in wrong:
        if path in content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[path])
        else:
            path.unlink()
        click.echo(path.relative_to(files.HOME.parent))


@main.command()
def check() -> None:
    """Exit status 1 where a file is not as the models say, or a change breaks readers of the last release."""
    wrong = files.stale(version())
    for path in wrong:
        click.echo(f"{path.relative_to(files.HOME.parent)} is not as the models say: make schemas", err=True)
    last = files.last_release()
    broken = [] if last is None else [*files.broken_since(last)]
    gone = [] if last is None else files.topics_gone_since(last)
    for each in broken:
        click.echo(each, err=True)
    for name in gone:
        click.echo(f"{name}: the topic is gone, and release {last} has it", err=True)
    if broken or gone:
        click.echo(ADVICE, err=True)
    sys.exit(1 if wrong or broken or gone else 0)


@main.command()
def release() -> None:
    """Keep the schemas as those of this version: the ones that later changes are held against."""
    click.echo(files.keep(version()).relative_to(files.HOME.parent))


if __name__ == "__main__":
    main()
