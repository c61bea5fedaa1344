"""`make bench-sinks`: the sinks against the plain consumer and the plain download that they stand in for.

What is measured, and how, is told in README.md beside this file.
"""

import argparse
import sys

import postgres
from benchmarks import objects, rows
from benchmarks.medians import at_least, at_most, each, interleave, medians
from benchmarks.objects import Objects
from benchmarks.program import Measure, Tell, options, run
from benchmarks.report import Figure
from benchmarks.site import Site

FILES = 10_000
OBJECT_BYTES = 2 * 1024**3
PEAK_MIB = 150


def main() -> int:
    return run("sinks", options(__doc__.splitlines()[0], _FIGURES).parse_args(), _FIGURES)


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


_FIGURES: dict[str, Measure] = {"rows": _rows, "object": _object}


if __name__ == "__main__":
    sys.exit(main())
