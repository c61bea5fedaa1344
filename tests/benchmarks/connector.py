"""`make bench-connector`: the connector's streams against plain clients of them, its requests against today's clients.

What is measured, and how, is told in README.md beside this file.
"""

import argparse
import sys

from benchmarks.asked import FAULTY, HEALTHY, RATES, REASONS, SPEED, TODAY, Asked, Requests
from benchmarks.away import Outage
from benchmarks.comeback import CONNECTS_PER_SECOND, Kill
from benchmarks.medians import Rounds, at_least, at_most, each, interleave, medians
from benchmarks.program import Measure, Tell, options, run
from benchmarks.report import Figure
from benchmarks.site import Site
from benchmarks.streams import AIOHTTP, HTTPX, OURS, Streams, streams_the_machine_holds

STREAMS, EVENTS, RATE = 10_000, 20_000, 1_000
JOBS = 200
AWAY_SECONDS = 60
BUFFERS_MIB = 32
"""Twice the send buffer: what a broker that is away may cost."""


def main() -> int:
    asked = options(__doc__.splitlines()[0], _FIGURES).parse_args()
    held, wanted = streams_the_machine_holds(), max(100, int(STREAMS * asked.scale))
    asked.streams = min(held, wanted)
    print(f"{asked.streams:,} streams; open files and ports of this machine allow {held:,} to one address")
    return run("connector", asked, _FIGURES)


def _streams(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    streams = Streams(site, asked.streams, RATE, max(2 * RATE, int(EVENTS * asked.scale)))
    rounds = interleave([OURS, HTTPX, AIOHTTP], asked.rounds, streams.measure, tell)
    return [
        _bounded(f"memory of a stream, {asked.streams:,} live", "KiB", 25, each(rounds, lambda one: one.bytes / 1024)),
        _bounded("CPU of an event, parsed and published", "µs", 60, each(rounds, lambda one: one.cpu)),
        Figure.of(f"from write to append at {RATE:,}/s, p50", "ms", OURS, each(rounds, lambda one: one.p50)),
        _bounded(f"from write to append at {RATE:,}/s, p99", "ms", 30, each(rounds, lambda one: one.p99)),
        Figure.of("CPU of pings alone", "% of a core", OURS, each(rounds, lambda one: one.idle)),
    ]


def _requests(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    found = []
    for upstream in (HEALTHY, FAULTY):
        tell(f"{upstream}, at {SPEED:g} times the speed")
        requests = Requests(site, max(20, int(JOBS * asked.scale)), RATES[upstream])
        rounds = interleave([OURS, TODAY], asked.rounds, requests.measure, tell)
        per_job = each(rounds, lambda one: one.requests)
        both = medians(per_job)
        seen = each(rounds, lambda one: 100 * one.seen)
        found += [
            Figure.of(
                f"requests of a job, {upstream}", "", OURS, per_job,
                goal="≤ 1/5 of today's", met=at_least(both[TODAY], 5, both[OURS]),
            ),
            *(_of_these(what, upstream, rounds) for what in REASONS),
            Figure.of(f"URLs that were seen, {upstream}", "%", OURS, seen),
        ]  # fmt: skip
    return found


def _of_these(reason: str, upstream: str, rounds: Rounds[Asked]) -> Figure:
    ours = [{OURS: one[OURS]} for one in rounds]
    return Figure.of(f"of these {reason}, {upstream}", "", OURS, each(ours, lambda one: one.by_reason[reason]))


def _kill(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    kill = Kill(site, asked.streams)
    rounds = interleave([OURS], asked.rounds, kill.measure, tell)
    whole = f"after a kill: {asked.streams:,} watches live again, {CONNECTS_PER_SECOND}/s"
    bound = round(1.2 * kill.pace_seconds, 1)
    return [
        _bounded(f"{whole}, from the first stream", "s", bound, each(rounds, lambda one: one.connecting)),
        Figure.of(f"{whole}, from the kill", "s", OURS, each(rounds, lambda one: one.live)),
    ]


def _away(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    seconds = max(15.0, AWAY_SECONDS * asked.scale)
    rounds = interleave([OURS], 1, Outage(site.directory, asked.streams, RATE, seconds).measure, tell)
    what = f"broker away for {seconds:.0f} s at {RATE:,} events/s"
    return [
        _bounded(f"{what}: events lost", "", 0, each(rounds, lambda one: one.missing)),
        _bounded(f"{what}: most memory above before", "MiB", BUFFERS_MIB, each(rounds, lambda one: one.growth / 2**20)),
        Figure.of(f"{what}: most memory", "MiB", OURS, each(rounds, lambda one: (one.before + one.growth) / 2**20)),
    ]


def _bounded(name: str, unit: str, bound: float, rounds: Rounds[float]) -> Figure:
    return Figure.of(
        name, unit, OURS, rounds, goal=f"≤ {bound} {unit}".rstrip(), met=at_most(medians(rounds)[OURS], bound)
    )


_FIGURES: dict[str, Measure] = {
    "streams": _streams,
    "requests": _requests,
    "kill": _kill,
    "away": _away,
}


if __name__ == "__main__":
    sys.exit(main())
