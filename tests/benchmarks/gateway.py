"""`make bench-gateway`: the gateway's event streams against those of starlette and sse-starlette.

What is measured, and how, is told in README.md beside this file.
"""

import argparse
import sys

from benchmarks.gateway_latency import Steady
from benchmarks.gateway_restart import Kill
from benchmarks.gateway_serving import ALL, OURS
from benchmarks.gateway_streams import FanOut, Idling
from benchmarks.medians import Rounds, at_least, at_most, each, interleave, medians, without
from benchmarks.program import Measure, Tell, options, run
from benchmarks.report import Figure
from benchmarks.site import Site
from benchmarks.streams import streams_the_machine_holds

IDLE, FOLLOWERS, READERS, RETURNING = 10_000, 5_000, 1_000, 5_000
UPDATES = 20
RATE, SECONDS = 1_000, 20
IDLE_KIB, P99_MS, WHOLE_SECONDS = 30, 50, 30


def main() -> int:
    asked = options(__doc__.splitlines()[0], _FIGURES).parse_args()
    asked.held = streams_the_machine_holds()
    print(f"open files and ports of this machine allow {asked.held:,} readers")
    return run("gateway", asked, _FIGURES)


def _scaled(asked: argparse.Namespace, number: int) -> int:
    held: int = asked.held
    return min(held, max(100, int(number * asked.scale)))


def _idle(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    readers = _scaled(asked, IDLE)
    rounds = interleave(ALL, asked.rounds, Idling(site, readers).measure, tell)
    return [
        _bounded(
            f"memory of an idle reader, of {readers:,}", "KiB", IDLE_KIB, each(rounds, lambda one: one.bytes / 1024)
        ),
        Figure.of("CPU of a reader's coming", "µs", OURS, each(rounds, lambda one: one.connect)),
        Figure.of(f"pings of {readers:,} readers", "% of a core", OURS, each(rounds, lambda one: one.cpu)),
    ]


def _fan_out(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    readers = _scaled(asked, FOLLOWERS)
    rounds = interleave(ALL, asked.rounds, FanOut(site, readers, UPDATES).measure, tell)
    cpu = each(rounds, lambda one: one.cpu)
    found = medians(cpu)
    met = all(at_least(rival, 1, found[OURS]) for rival in without(found, OURS).values())
    what = f"one change to {readers:,} readers"
    return [
        Figure.of(f"{what}: CPU of a delivery", "µs", OURS, cpu, goal="≤ the better of the two", met=met),
        Figure.of(f"{what}: until the last has it", "ms", OURS, each(rounds, lambda one: one.last)),
    ]


def _latency(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    readers, seconds = _scaled(asked, READERS), max(5.0, SECONDS * asked.scale)
    rounds = interleave([OURS], asked.rounds, Steady(site, readers, RATE, seconds).measure, tell)
    what = f"from record to socket at {RATE:,}/s, {readers:,} readers of a file each"
    return [
        Figure.of(f"{what}, p50", "ms", OURS, each(rounds, lambda one: one.p50)),
        _bounded(f"{what}, p99", "ms", P99_MS, each(rounds, lambda one: one.p99)),
        Figure.of(f"{what}, CPU", "% of a core", OURS, each(rounds, lambda one: one.cpu)),
    ]


def _kill(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    readers = _scaled(asked, RETURNING)
    rounds = interleave([OURS], asked.rounds, Kill(site, readers).measure, tell)
    what = f"after a kill, {readers:,} readers"
    return [
        _bounded(f"{what}: all whole", "s", WHOLE_SECONDS, each(rounds, lambda one: one.whole)),
        _bounded(f"{what}: without their last state", "", 0, each(rounds, lambda one: one.missing)),
        _bounded(f"{what}: states told twice", "", 0, each(rounds, lambda one: one.counts.twice)),
        Figure.of(f"{what}: gaps", "", OURS, each(rounds, lambda one: one.counts.gaps)),
        Figure.of(f"{what}: changes not told one by one", "", OURS, each(rounds, lambda one: one.counts.skipped)),
    ]


def _bounded(name: str, unit: str, bound: float, rounds: Rounds[float]) -> Figure:
    return Figure.of(
        name, unit, OURS, rounds, goal=f"≤ {bound} {unit}".rstrip(), met=at_most(medians(rounds)[OURS], bound)
    )


_FIGURES: dict[str, Measure] = {"idle": _idle, "fan-out": _fan_out, "latency": _latency, "kill": _kill}


if __name__ == "__main__":
    sys.exit(main())
