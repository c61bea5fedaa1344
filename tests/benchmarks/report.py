"""What every benchmark ends with: a table, and build/benchmarks/NAME.json."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from benchmarks.medians import Rounds, medians, without
from rich.console import Console
from rich.table import Table

DIRECTORY = Path("build/benchmarks")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. `value` is words where it could not be measured; a row without a goal is there to be read."""

    figure: str
    unit: str
    value: float | str
    goal: str = ""
    met: bool = True
    against: dict[str, float | str] = field(default_factory=dict)
    rounds: Sequence[Any] = ()

    @classmethod
    def of(cls, figure: str, unit: str, ours: str, rounds: Rounds[float], **more: Any) -> "Figure":
        """The median of `ours`, and beside it the medians of all others."""
        found = medians(rounds)
        return cls(figure, unit, found[ours], against=without(found, ours), rounds=rounds, **more)

    @property
    def errors(self) -> list[str]:
        named = {self.figure: self.value, **self.against}
        return [f"{name}: {value}" for name, value in named.items() if isinstance(value, str)]


def write(name: str, figures: Iterable[Figure], directory: Path = DIRECTORY) -> Path:
    """The report as JSON; where it is."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_bytes(orjson.dumps([asdict(each) for each in figures], option=orjson.OPT_INDENT_2))
    return path


def show(title: str, figures: Iterable[Figure], console: Console) -> None:
    table = Table(title=title, title_justify="left", show_lines=True)
    for column, justify in (
        ("figure", "left"),
        ("value", "right"),
        ("goal", "left"),
        ("", "left"),
        ("against", "left"),
    ):
        table.add_column(column, justify=justify)
    for each in figures:
        mark = "" if not each.goal else "[green]met[/green]" if each.met else "[red]not met[/red]"
        against = "\n".join(f"{name} {_short(value)}" for name, value in each.against.items())
        table.add_row(each.figure, f"{_short(each.value)} {each.unit}", each.goal, mark, against)
    console.print(table)


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return f"[red]{value.splitlines()[0][:60]}[/red]"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
