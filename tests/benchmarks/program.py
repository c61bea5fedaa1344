"""What the benchmarks' programs share: options, a place, figure after figure, a table and a report."""

import argparse
import logging
import os
from collections.abc import Callable, Mapping

from benchmarks import report
from benchmarks.place import place
from benchmarks.report import Figure
from benchmarks.site import Site
from rich.console import Console

from schemas.errors import StopProcess

Tell = Callable[[str], None]
Measure = Callable[[Site, argparse.Namespace, Tell], list[Figure]]


def options(description: str, figures: Mapping[str, Measure]) -> argparse.ArgumentParser:
    """Those that each has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--figures", nargs="+", choices=list(figures), default=list(figures))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=float(os.environ.get("SCALE", "1")), help="default: $SCALE or 1")
    return parser


def run(name: str, asked: argparse.Namespace, figures: Mapping[str, Measure]) -> int:
    """The exit status: 0 when everything could be measured, whether or not its goal was met."""
    logging.basicConfig(level=logging.ERROR)
    console = Console()
    console.print(f"scale {asked.scale}, {asked.rounds} rounds of each")
    found: list[Figure] = []
    try:
        with place(console) as site:
            for each in asked.figures:
                console.print(f"[bold]{each}[/bold]")
                found += figures[each](site, asked, console.print)
    except (StopProcess, LookupError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    report.show(f"{name}, medians of {asked.rounds} rounds, scale {asked.scale}", found, console)
    console.print(f"written to {report.write(name, found)}")
    return 1 if any(figure.errors for figure in found) else 0
