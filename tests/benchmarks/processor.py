"""`make bench-processor`: the processor against other engines on the same events, the same rule, the same broker.

What is measured, and how, is told in README.md beside this file.
"""

import argparse
import math
import sys
from statistics import median

from benchmarks import latency, recovery, rule, work
from benchmarks.engines import AIOKAFKA, BYTEWAX, FAUST, LIBRDKAFKA, OURS, QUIX, STREAMS
from benchmarks.medians import Rounds, at_least, at_most, each, interleave, medians
from benchmarks.program import Measure, Tell, options, run
from benchmarks.report import Figure
from benchmarks.site import Site
from benchmarks.throughput import Backlog, Throughput

JOBS, RECOVERED_JOBS = 10_000, 1_000_000
FAUST_SHARE = 0.1
"""Of the jobs, that plain Faust is given: it would take a minute for all of them."""

RATE, WARM_SECONDS, SECONDS = 1_000, 4, 14
RULE_REPEATS = 5


def main() -> int:
    parser = options(__doc__.splitlines()[0], _FIGURES)
    parser.add_argument("--engines", nargs="+", metavar="WORD", help="only engines whose names have one of these words")
    return run("processor", parser.parse_args(), _FIGURES)


def _chosen(asked: argparse.Namespace, *names: str) -> list[str]:
    words = [word.lower() for word in asked.engines or [""]]
    return [name for name in names if name == OURS or any(word in name.lower() for word in words)]


def _rule(_: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    found = rule.measure(work.make(max(100, int(JOBS * asked.scale))), max(RULE_REPEATS, asked.rounds))
    value = median(found[rule.WHOLE])
    tell(f"{value:.1f} µs an observation")
    rounds = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    return [
        Figure(
            "rule and codec alone, an observation", "µs", value, "≤ 12 µs", at_most(value, 12),
            rule.shares(found), rounds,
        )
    ]  # fmt: skip


def _throughput(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    jobs = max(100, int(JOBS * asked.scale))
    whole, part = work.make(jobs), work.make(max(100, int(jobs * FAUST_SHARE)))
    tell(f"{whole.events:,} events, observations of {whole.mean_bytes:.0f} B; plain Faust has {part.events:,}")
    names = _chosen(asked, OURS, QUIX, BYTEWAX, AIOKAFKA, STREAMS, FAUST, LIBRDKAFKA)
    backlog = Backlog.load(site, {name: part if name == FAUST else whole for name in names})
    rounds = interleave(names, asked.rounds, backlog.measure, tell)
    by_cpu = each(rounds, lambda one: one.per_cpu_second)
    for one, numbers in zip(rounds, by_cpu, strict=True):
        streams = one.get(STREAMS)
        if isinstance(streams, Throughput) and math.isfinite(streams.warm):  # its compiler is at work in the first half
            numbers[f"{STREAMS}, its second half"] = streams.warm
    found = medians(by_cpu)
    ours = found[OURS]
    met = (
        at_least(ours, 1.5, found.get(QUIX))
        and at_least(ours, 1, found.get(BYTEWAX))
        and at_least(ours, 0.7, found.get(AIOKAFKA))
    )
    return [
        Figure.of(
            "events per CPU second, exactly once", "/s", OURS, by_cpu,
            goal="≥ 1.5 times Quix Streams, ≥ Bytewax,\n≥ 0.7 times the bare aiokafka loop", met=met,
        ),
        Figure.of("events per second", "/s", OURS, each(rounds, lambda one: one.per_second)),
        Figure.of("most memory of the worker", "MiB", OURS, each(rounds, lambda one: one.peak_bytes / 2**20)),
        Figure.of("records written", "", OURS, each(rounds, lambda one: one.written)),
    ]  # fmt: skip


def _latency(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    stream = latency.Stream(site, RATE, WARM_SECONDS, max(3.0, SECONDS * asked.scale))
    names = _chosen(asked, OURS, QUIX, AIOKAFKA, STREAMS)
    rounds = interleave(names, asked.rounds, stream.measure, tell)

    def figure(name: str, unit: str, bound: float, values: Rounds[float]) -> Figure:
        met = at_most(medians(values)[OURS], bound)
        return Figure.of(name, unit, OURS, values, goal=f"≤ {bound} {unit}", met=met)

    return [
        figure("observation to readable outcome, p50", "ms", 20, each(rounds, lambda one: one.p50)),
        figure("observation to readable outcome, p99", "ms", 40, each(rounds, lambda one: one.p99)),
        figure(f"the worker at {RATE:,} observations/s", "% of a core", 28, each(rounds, lambda one: one.cpu)),
    ]


def _recovery(site: Site, asked: argparse.Namespace, tell: Tell) -> list[Figure]:
    changelogs = recovery.Changelogs.load(site, int(RECOVERED_JOBS * asked.scale))
    tell(f"{changelogs.jobs:,} jobs, documents of {len(recovery.ended_document().value):,} B")
    rounds = interleave([OURS, recovery.FAUST], asked.rounds, changelogs.measure, tell)
    found = [
        Figure.of(
            "changelog records read at recovery", "/s", OURS, each(rounds, lambda one: one.per_second),
            goal="≥ 250,000/s", met=at_least(medians(each(rounds, lambda one: one.per_second))[OURS], 1, 250_000),
        ),
    ]  # fmt: skip
    for name, unit, bound, part in (
        ("process start to first event", "s", 10, lambda one: one.first_event_seconds),
        ("memory per job", "B", 1024, lambda one: one.bytes_per_job),
    ):
        values = each(rounds, part)
        met = at_most(medians(values)[OURS], bound)
        found.append(Figure.of(name, unit, OURS, values, goal=f"≤ {bound} {unit}", met=met))
    return found


_FIGURES: dict[str, Measure] = {
    "rule": _rule,
    "throughput": _throughput,
    "latency": _latency,
    "recovery": _recovery,
}


if __name__ == "__main__":
    sys.exit(main())
