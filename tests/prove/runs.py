"""Runs of pytest in a copy of the project, and what came of them."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .mutation import KAFKA, Mutation

SECONDS, SECONDS_ON_KAFKA = 60, 240
"""For one run. A test that waits for what a mutation has taken away should fail earlier, by a deadline of its own."""

BROKEN = ("ImportError", "ModuleNotFoundError", "NameError", "SyntaxError", "IndentationError", "UnboundLocalError")
"""A test that fails with one of these says that the mutation is wrong, not that it is noticed."""

VANISHED = "pytest vanished"


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run, by test: "passed", "failed", or what else went wrong with it."""

    outcomes: Mapping[str, str]
    status: int | None
    """Of the process; None where it had to be stopped."""
    words: str

    def of(self, test: str) -> str:
        """One word for a test and all its cases: "failed" where one has failed and none is broken."""
        found = {outcome for name, outcome in self.outcomes.items() if name == test or name.startswith(f"{test}[")}
        if not found:
            if self.status is None:
                return "not within its time"
            return VANISHED if self.status and not self.outcomes else "not run"
        other = found - {"passed", "failed", "skipped"}
        return next(iter(other), None) or next(each for each in ("failed", "passed", "skipped") if each in found)


def run(directory: Path, tests: Iterable[str], environment: Mapping[str, str], seconds: float) -> Run:
    """Run these tests with the project in `directory`."""
    tests = tuple(dict.fromkeys(tests))
    report = directory / "report.xml"
    report.unlink(missing_ok=True)
    command = [  # --tb=native: pytest's own parses sources, and Python 3.11 fails in that when it collects a coroutine
        sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=native", "-p", "no:cacheprovider",
        "-o", "junit_family=xunit1", f"--junitxml={report}", f"--timeout={seconds * 0.8:.0f}", *tests,
    ]  # fmt: skip
    try:
        ended = subprocess.run(
            command, cwd=directory, env=settings_for(directory, environment), timeout=seconds, check=False,
            capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return Run({}, None, output.decode(errors="replace") if isinstance(output, bytes) else output)
    return Run(outcomes(report) if report.exists() else {}, ended.returncode, ended.stdout + ended.stderr)


def settings_for(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The copy comes before the project that is installed; processes that the tests start have it from here, too."""
    return {**os.environ, **environment, "PYTHONPATH": str(directory)}


def outcomes(report: Path) -> dict[str, str]:
    """By node id, what a report says of each test."""
    return dict(_outcome(case) for case in ET.parse(report).iter("testcase"))


def _outcome(case: ET.Element) -> tuple[str, str]:
    file = case.get("file", "")
    module = file.removesuffix(".py").replace("/", ".")
    inside = case.get("classname", "").removeprefix(module).strip(".").replace(".", "::")
    name = "::".join(part for part in (file, inside, case.get("name", "")) if part)
    if (error := case.find("error")) is not None:
        return name, f"error: {_first_line(error)}"
    if (failure := case.find("failure")) is not None:
        words = _first_line(failure)
        return name, f"broken: {words}" if words.startswith(BROKEN) else "failed"
    return name, "skipped" if case.find("skipped") is not None else "passed"


def _first_line(element: ET.Element) -> str:
    return (element.get("message") or "").strip().partition("\n")[0]


def time_for(mutation: Mutation) -> float:
    return SECONDS_ON_KAFKA if mutation.needs_kafka else SECONDS


def is_on_kafka(test: str) -> bool:
    return test.startswith(KAFKA)
