"""What a guard is, how it is switched off, and which tests have to fail then."""

from dataclasses import dataclass

UNIT, KAFKA = "tests/unit/", "tests/integration/"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One guard. `old` stands once in `file`; with `new` in its place every test of `tests` has to fail.

    A test is a pytest node id. One without parameters in brackets stands for all its cases, of which one has to fail.
    """

    name: str
    point: str
    """Of ARCHITECTURE.md: `rule 3`, `exactly once 5`."""
    guards: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def needs_kafka(self) -> bool:
        return any(each.startswith(KAFKA) for each in self.tests)


def in_file(path: str, *names: str) -> tuple[str, ...]:
    """Node ids of tests of one file."""
    return tuple(f"{path}::{name}" for name in names)


def unit(module: str, *names: str) -> tuple[str, ...]:
    """The same of `tests/unit/streams`."""
    return in_file(f"{UNIT}streams/{module}.py", *names)
