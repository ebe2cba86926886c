"""How is the table of a benchmark told: as CSV, on the screen, and as the docs show it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console


def tell(table: pd.DataFrame, out: Path, shown: str) -> None:
    """Write a table as CSV, and print it and what is ``shown`` of it in Markdown."""
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out, index=False, float_format="%.5g", lineterminator="\n")
    page = Console(width=160)
    page.print(table.to_string(index=False))
    page.print(shown)
