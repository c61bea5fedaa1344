"""What a run did and found, for people and for machines."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from rich.console import Console
from rich.markup import escape

from rendercast.verify.audit import Problem, What

MOST_SHOWN = 20


@dataclass(slots=True)
class Report:
    """`found` counts broken promises by what they are; `stalled` says where nothing went on any more.

    `files` are those that something is wrong with.
    """

    seed: int
    jobs: int
    outcomes: int
    prefix: str
    announced: int = 0
    events: dict[str, int] = field(default_factory=dict)  # fed, by topic
    said_again: int = 0  # files, where the broker gave no clear answer
    aborted: int = 0  # transactions
    done: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    exits: dict[str, int] = field(default_factory=dict)
    seconds: float = 0
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(What), 0))
    problems: list[str] = field(default_factory=list)
    stalled: str | None = None
    evidence: str | None = None
    files: set[str] = field(default_factory=set)

    def add(self, problems: Iterable[Problem]) -> None:
        """Count them, and say each in a line."""
        for each in problems:
            self.found[each.what] += 1
            self.problems.append(f"{each.what.replace('_', ' ')}: {each.file_id or 'in all'}: {each.words}")
            self.files |= {each.file_id} if each.file_id else set()

    @property
    def is_kept(self) -> bool:
        """Whether every promise was."""
        return not self.problems and self.stalled is None

    def as_json(self) -> dict[str, Any]:
        """One flat object: what was `found` stands beside the rest."""
        fields = asdict(self)
        return {**fields.pop("found"), **fields, "files": sorted(self.files), "kept": self.is_kept}


def show(report: Report, console: Console) -> None:
    """A few lines."""
    fed = f"{sum(report.events.values())} events fed ({_words(report.events)}"
    console.print(
        f"\n{report.jobs} jobs in {report.seconds:.0f} s: {fed}; "
        f"files said again {report.said_again}; transactions aborted {report.aborted})\n"
        f"done to them: {_words(report.done) or 'nothing'}; started again {report.restarts} times; "
        f"ends by status: {_words(report.exits)}\n"
        f"outcomes due {report.outcomes}, announced {report.announced}; {_words(report.found)}"
    )
    if report.stalled:
        console.print(f"[red]✗[/red] stalled: {escape(report.stalled)}", highlight=False, soft_wrap=True)
    for problem in report.problems[:MOST_SHOWN]:
        console.print("[red]✗[/red]", escape(problem), highlight=False, soft_wrap=True)
    if len(report.problems) > MOST_SHOWN:
        console.print(f"… and {len(report.problems) - MOST_SHOWN} more")
    if report.evidence:
        console.print(f"logs and records of the files concerned: {report.evidence}", highlight=False, soft_wrap=True)
    if report.is_kept:
        console.print("[green]✓[/green] every outcome was announced once; nothing is lost, stale or left open")
    console.print(f"the same options with --seed {report.seed} draw the same again", highlight=False)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in counts.items())
