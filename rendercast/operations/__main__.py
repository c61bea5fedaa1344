"""`python -m rendercast.operations write | check`: for those who change metrics or dashboards, in a checkout."""

import sys
from pathlib import Path

import click
import orjson

import rendercast
from rendercast.operations.boards import DASHBOARDS
from rendercast.operations.dashboards import as_json
from rendercast.operations.page import markdown

CHECKOUT = Path(rendercast.__file__).parents[1]
HOME = CHECKOUT / "helm" / "rendercast" / "dashboards"


def generated() -> dict[Path, bytes]:
    """Every file that is made from code, as it should be."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return {
        CHECKOUT / "docs" / "metrics.md": markdown().encode(),
        **{HOME / f"{each.name}.json": orjson.dumps(as_json(each), option=options) for each in DASHBOARDS},
    }


def stale() -> list[Path]:
    """Files that are not as they should be; and dashboards that are no more."""
    wanted = generated()
    wrong = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    return wrong + [path for path in HOME.glob("*.json") if path not in wanted]


@click.group()
def main() -> None:
    """The page of metrics and the dashboards, made from code."""


@main.command()
def write() -> None:
    """Make the files anew."""
    content = generated()
    for path in stale():
        if path in content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[path])
        else:
            path.unlink()
        click.echo(path.relative_to(CHECKOUT))


@main.command()
def check() -> None:
    """Exit status 1 where a file is not as the code says."""
    wrong = stale()
    for path in wrong:
        click.echo(f"{path.relative_to(CHECKOUT)} is not as the code says: make metrics-docs", err=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
