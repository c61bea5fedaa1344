"""`rendercast verify`: the proof of the processor's promise."""

import sys
from typing import Any

import click

from rendercast.verify.faults import FAULTS, ORDINARY, Fault


class _Faults(click.ParamType):
    """Names with commas between them; `all`, or `none`."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Fault, ...]:
        if isinstance(value, tuple):
            return value
        names = [each.strip() for each in value.split(",") if each.strip()]
        if names in (["all"], ["none"]):
            return (*FAULTS,) if names == ["all"] else ()
        for name in names:
            if name not in FAULTS:
                self.fail(f"{name!r} is not one of {', '.join(FAULTS)}, or all, or none", param, ctx)
        return tuple(fault for fault in FAULTS if fault in names)


@click.command(epilog="\b\nFaults:\n" + "\n".join(f"  {name:8}{what}" for name, what in FAULTS.items()))
@click.option("--jobs", type=click.IntRange(1, 1_000_000), default=3000, show_default=True, help="Files to feed.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processors to run.")
@click.option("--partitions", type=click.IntRange(1, 1024), default=4, show_default=True, help="Of every topic.")
@click.option(
    "--seconds", type=click.FloatRange(1, 86_400), default=120, show_default=True,
    help="How long it is fed and disturbed; then it has to come to its end.",
)  # fmt: skip
@click.option(
    "--faults", type=_Faults(), metavar="LIST",
    help=f"What happens to it: {','.join(FAULTS)}; all; none.  [default: {','.join(ORDINARY)}, unless --kill is given]",
)  # fmt: skip
@click.option("--kill", "killed", type=click.Choice(["processor"]), help="Short for --faults kill; adds to --faults.")
@click.option("--seed", type=click.IntRange(0), help="What is fed and what happens; by default another each time.")
@click.option(
    "--session-seconds", type=click.FloatRange(0.5, 300),
    help="The workers' session timeout.  [default: 1 on a broker of our own, 6 on a named one]",
)  # fmt: skip
@click.option(
    "--patience-seconds", type=click.FloatRange(5), default=60, show_default=True,
    help="Without progress for so long, the run has stalled.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave the topics of this run on the broker.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object on the last line.")
def verify(
    *, jobs: int, workers: int, partitions: int, seconds: float, faults: tuple[Fault, ...] | None, killed: str | None,
    seed: int | None, session_seconds: float | None, patience_seconds: float, keep: bool, as_json: bool,
) -> None:  # fmt: skip
    """Prove on a real broker that the processor announces each outcome once, whatever happens to it.

    Feeds commands and observations to topics of its own (verify-….), kills, freezes and restarts processors
    meanwhile, and reads everything with read_committed: what is lost, announced twice, stale or left open.

    Takes a broker that is named (RENDERCAST_KAFKA__BOOTSTRAP_SERVERS), else Docker, else Java with Maven.
    Exit status: 0 every promise kept, 1 one broken, 2 wrong options, 3 it could not be run.
    """
    from rendercast.verify.run import run

    chosen = set(faults if faults is not None else () if killed else ORDINARY) | ({"kill"} if killed else set())
    sys.exit(
        run(
            jobs=jobs, workers=workers, partitions=partitions, seconds=seconds,
            faults=[each for each in FAULTS if each in chosen],
            seed=seed, session=session_seconds, patience=patience_seconds, keep=keep, as_json=as_json,
        )
    )  # fmt: skip
