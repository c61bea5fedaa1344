"""`make bench-sinks`: the sinks against the plain consumer and the plain download that they stand in for.

What is measured, and how, is told in README.md beside this file.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable

import postgres
from benchmarks import objects, report, rows
from benchmarks.medians import at_least, at_most, each, interleave, medians
from benchmarks.objects import Objects
from benchmarks.place import place
from benchmarks.report import Figure
from benchmarks.site import Site
from rich.console import Console

from schemas.errors import StopProcess

FILES = 10_000
OBJECT_BYTES = 2 * 1024**3
PEAK_MIB = 150

Tell = Callable[[str], None]


def main() -> int:
    """The exit status: 0 when everything could be measured, whether or not its goal was met."""
    asked = _arguments()
    logging.basicConfig(level=logging.ERROR)
    console = Console()
    figures: list[Figure] = []
    try:
        with place(console) as site:
            for name in asked.figures:
                console.print(f"[bold]{name}[/bold]")
                figures += _FIGURES[name](site, asked, console.print)
    except (StopProcess, LookupError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    report.show(f"sinks, medians of {asked.rounds} rounds, scale {asked.scale}", figures, console)
    console.print(f"written to {report.write('sinks', figures)}")
    return 1 if any(figure.errors for figure in figures) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", nargs="+", choices=list(_FIGURES), default=list(_FIGURES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=float(os.environ.get("SCALE", "1")), help="default: $SCALE or 1")
    return parser.parse_args()


def _rows(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    with postgres.server() as server:
        work = rows.Rows(site, server, max(500, int(FILES * asked.scale)))
        found = each(interleave([rows.OURS, rows.ROW_BY_ROW], asked.rounds, work.measure, tell), lambda one: one.pace)
    both = medians(found)
    met = at_least(both[rows.OURS], 5, both[rows.ROW_BY_ROW])
    what = f"chats: records into Postgres, of {work.records:,}"
    return [Figure.of(what, "/s", rows.OURS, found, goal="≥ 5 times row by row", met=met)]


def _object(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    size = max(64 * 1024**2, int(OBJECT_BYTES * asked.scale))
    found = interleave([objects.OURS, objects.PLAIN], asked.rounds, Objects(site, size).measure, tell)
    pace, peak = each(found, lambda one: one.pace / 1e6), each(found, lambda one: one.peak / 2**20)
    both = medians(pace)
    what = f"storage: an object of {size / 2**30:.2g} GiB"
    return [
        Figure.of(
            f"{what}, hashed, to a folder", "MB/s", objects.OURS, pace,
            goal="≥ 0.8 of httpx to file", met=at_least(both[objects.OURS], 0.8, both[objects.PLAIN]),
        ),
        Figure.of(
            f"{what}, peak memory", "MiB", objects.OURS, peak,
            goal=f"≤ {PEAK_MIB} MiB", met=at_most(medians(peak)[objects.OURS], PEAK_MIB),
        ),
    ]  # fmt: skip


_FIGURES: dict[str, Callable[[Site, argparse.Namespace, Tell], list[Figure]]] = {"rows": _rows, "object": _object}


if __name__ == "__main__":
    sys.exit(main())
