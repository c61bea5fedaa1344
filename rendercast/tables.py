"""Tables for terminals. What came from outside is shown without what a terminal would obey."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def printable(text: str, keep: str = "") -> str:
    """The text with everything escaped that is not to be seen; `keep` are exceptions."""
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in text
    )


def table(*names: str) -> Table:
    """An empty one. Its last column gives way where a terminal is narrow."""
    found = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        found.add_column(name, no_wrap=name != names[-1])
    return found


def count_table(counts: str, *names: str) -> Table:
    """One whose first column are numbers."""
    found = table(counts, *names)
    found.columns[0].justify = "right"
    return found


def cell(text: str) -> Text:
    """One line of text as it is: no markup, nothing that moves the cursor."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
