"""The live view: one line a job, totals beneath; where there is no terminal, one line per outcome."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas import Job

STYLES = {"pending": "dim", "processing": "cyan", "completed": "green", "error": "red"}
BAR = 12
COLUMN_WIDTH = 58


class Board:
    """What is known of the jobs that were tracked since a moment, from the `jobs` topic."""

    def __init__(self, console: Console, expected: int, since: datetime) -> None:
        self._console, self._expected, self._since = console, expected, since
        self._jobs: dict[str, Job] = {}
        self._ended: set[tuple[str, str]] = set()

    def show(self, job: Job) -> None:
        """Take in a document; say a line when it is an end and no live view is on."""
        if job.tracked_at < self._since:
            return
        self._jobs[job.file_id] = job
        if job.outcome is not None and (job.file_id, job.generation) not in self._ended:
            self._ended.add((job.file_id, job.generation))
            if not self._console.is_terminal:
                by = f" by {job.won_by}" if job.won_by else ""
                self._console.print(f"{len(self._ended):3}/{self._expected} {job.kind} {job.file_id} {job.outcome}{by}")

    @property
    def ended(self) -> int:
        """Generations that have ended."""
        return len(self._ended)

    def has_ended(self, file_id: str, generation: str) -> bool:
        return (file_id, generation) in self._ended

    def __rich__(self) -> RenderableType:
        jobs = list(self._jobs.values())
        columns = max(1, min(self._console.width // COLUMN_WIDTH, 3))
        rows = -(-len(jobs) // columns) or 1
        room = max(4, self._console.height - 6)
        shown = min(rows, room)
        tables = [_table(jobs[start * rows : start * rows + shown]) for start in range(columns)]
        hidden = len(jobs) - sum(len(jobs[start * rows : start * rows + shown]) for start in range(columns))
        rest = Text(f"  … and {hidden} more; a larger window shows them", style="dim") if hidden else Text()
        return Group(Columns(tables, padding=(0, 2)), rest, self._totals(jobs))

    def _totals(self, jobs: Iterable[Job]) -> RenderableType:
        jobs = list(jobs)
        status = Counter(job.outcome or job.status for job in jobs)
        won = Counter(job.won_by for job in jobs if job.url)
        line = Text(f"  {self.ended}/{self._expected} ended", style="bold")
        line.append("   " + "  ".join(f"{name} {number}" for name, number in sorted(status.items())), style="default")
        line.append("   won by " + "  ".join(f"{name} {number}" for name, number in won.most_common()), style="magenta")
        line.append(f"   gaps {sum(job.gaps for job in jobs)}", style="yellow")
        return line


def _table(jobs: Iterable[Job]) -> Table:
    table = Table.grid(padding=(0, 1))
    for job in jobs:
        done = round(job.progress / 100 * BAR)
        table.add_row(
            Text(job.file_id[:8], style="dim"),
            Text(job.kind),
            Text("━" * done, style=STYLES[job.status]) + Text("─" * (BAR - done), style="dim"),
            Text(f"{job.progress:3.0f}%"),
            Text(job.outcome or job.status, style=STYLES[job.status]),
            Text(job.won_by or "", style="magenta"),
        )
    return table
