"""How are tables and intervals written in Markdown?"""

from __future__ import annotations

from collections.abc import Sequence


def bounded(interval: Sequence[float]) -> str:
    """Write an estimate with its interval."""
    value, low, high = interval
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
