"""Fuzz the frame decoder and the parser: `python -m tests.fuzz [--seconds N] [--merge]`. It needs atheris.

It begins with the kept corpus and works in `build/fuzz`. An input that breaks something is left there, its name
beginning with `crash-`; `python -m tests.fuzz FILE` runs it again. With `--merge` the kept corpus is made anew: the
shortest inputs that reach all that is reached by now.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import atheris
import click

with atheris.instrument_imports(include=["connectors.upstream.frames", "connectors.upstream.parser", "schemas.media"]):
    from .target import check

HERE = Path(__file__).parent
KEPT = HERE / "corpus"
FOUND = HERE.parents[1] / "build" / "fuzz"
AGAIN = f"{sys.executable} -m tests.fuzz"
"""libFuzzer starts itself anew when it merges."""

MAX_BYTES, MAX_KEPT_BYTES = 4_096, 1_024


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--seconds", default=600, show_default=True, help="How long to look.")
@click.option("--merge", is_flag=True, help="Make the kept corpus anew from what was found, instead of looking.")
@click.argument("raw", nargs=-1, type=click.UNPROCESSED, metavar="[LIBFUZZER OPTION OR FILE]...")
def main(seconds: int, merge: bool, raw: tuple[str, ...]) -> None:
    """Look for bytes that the connector's parser cannot take."""
    FOUND.mkdir(parents=True, exist_ok=True)
    if merge:
        _merge()
    else:
        atheris.Setup([AGAIN, *(raw or _looking(seconds))], check)
        atheris.Fuzz()


def _looking(seconds: int) -> list[str]:
    return [
        f"-artifact_prefix={FOUND}/", f"-dict={HERE / 'words.dict'}", f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}", "-timeout=20", str(FOUND), str(KEPT),
    ]  # fmt: skip


def _merge() -> None:
    merged = FOUND.with_name("fuzz-merged")
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    options = ["-merge=1", f"-max_len={MAX_KEPT_BYTES}", str(merged), str(FOUND), str(KEPT)]
    subprocess.run([*AGAIN.split(), *options], check=True)
    if not any(merged.iterdir()):
        raise click.ClickException("the merge kept nothing; the corpus is as it was")
    shutil.rmtree(KEPT)
    merged.rename(KEPT)


if __name__ == "__main__":
    main()
