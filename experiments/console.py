"""How do results look in a terminal, and in a file that a terminal's output was sent to?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDE = 200  # columns when the output goes to a file or a pipe, where nothing needs to wrap
VERDICT_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


def console() -> Console:
    """Return the terminal, or a wide plain page if the output goes elsewhere."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDE)


def table(title: str, *columns: str) -> Table:
    """Return an empty table; the first column is never cut."""
    found = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        found.add_column(column, no_wrap=number == 0, overflow="fold")
    return found


def bars_table(title: str, bars: Iterable[Mapping[str, Any]]) -> Table:
    """Return the bars of a card: what was reached, what was wanted, and what was missed."""
    found = table(title, "check", "value", "bar", "")
    for row in bars:
        found.add_row(row["check"], f"{row['value']:.3g}", row["bar"], "ok" if row["cleared"] else "[red]missed[/red]")
    return found
