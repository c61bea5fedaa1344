"""The figures as a terminal shows them."""

from collections.abc import Mapping

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rendercast.tables import cell
from rendercast.top.figures import WINDOW, Figures


def render(figures: Figures, broker: str) -> RenderableType:
    """One screen. Narrow terminals stack what wide ones have side by side."""
    head = Text.assemble(("rendercast top", "bold"), f"  {figures.at:%H:%M:%S} UTC  ", (broker, "dim"))
    minutes = int(WINDOW.total_seconds() // 60)
    panels = [
        _panel("unfinished jobs", _jobs(figures)),
        _panel(f"outcomes, last {minutes} min", _counts(figures.outcomes, {"late": figures.late})),
        _panel(f"won by, last {minutes} min", _counts(figures.won_by, {})),
        _panel("lag, offsets", _lags(figures.lag)),
        _panel("written per second", _rates(figures.rates)),
    ]
    return Group(head, Columns(panels))


def _panel(title: str, inner: RenderableType) -> Panel:
    return Panel(inner, title=title, title_align="left", expand=False, padding=(0, 1))


def _rows() -> Table:
    found = Table.grid(padding=(0, 2))
    found.add_column()
    found.add_column(justify="right")
    return found


def _jobs(figures: Figures) -> Table:
    found = _rows()
    for status in ("pending", "processing"):
        found.add_row(status, f"{figures.unfinished.get(status, 0):,}")
    found.add_row("past deadline", Text(f"{figures.overdue:,}", style="red" if figures.overdue else ""))
    oldest = "none" if figures.oldest_seconds is None else f"{figures.oldest_seconds:,.0f} s"
    found.add_row("oldest", oldest)
    if figures.oldest_file is not None:
        found.add_row("", cell(figures.oldest_file))
    return found


def _counts(counts: Mapping[str, int], more: Mapping[str, int]) -> Table:
    found = _rows()
    for name, times in sorted(counts.items(), key=lambda each: -each[1]):
        found.add_row(cell(name), f"{times:,}")
    for name, times in more.items():
        found.add_row(name, f"{times:,}")
    if not counts:
        found.add_row("none", "")
    return found


def _lags(lags: Mapping[str, int | None]) -> Table:
    found = _rows()
    for process, lag in lags.items():
        found.add_row(process, "never read" if lag is None else f"{lag:,}")
    return found


def _rates(rates: Mapping[str, float | None]) -> Table:
    found = _rows()
    for topic, rate in rates.items():
        found.add_row(cell(topic), "…" if rate is None else f"{rate:,.1f}")
    return found
