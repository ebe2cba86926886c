"""What is wrong with a table: one list of it all, with row numbers, before anything is made of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twingym.twins.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS, MOST_VALUES = 6, 3  # of a problem that are told; all of them stand in TableError.frame()
NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, wherever it is.

    Attributes:
        table: Name of the table.
        column: Name of the column, or empty.
        found: What was found.
        allowed: What is allowed, with the unit, or what to do.
        rows: Numbers of the rows as an editor shows them, the header counted; empty where it is about no row.
    """

    table: str
    column: str
    found: str
    allowed: str
    rows: NDArray[np.int64] = field(default_factory=lambda: NO_ROWS)

    def __str__(self) -> str:
        """Say it in one line."""
        some = ", ".join(str(row) for row in self.rows[:MOST_ROWS])
        more = f" and {len(self.rows) - MOST_ROWS:,} more" if len(self.rows) > MOST_ROWS else ""
        where = f", row{'s' if len(self.rows) > 1 else ''} {some}{more}" if len(self.rows) else ""
        column = f", {self.column}" if self.column else ""
        return f"{self.table}{where}{column}: {self.found}; allowed: {self.allowed}."


class TableError(SpecError):
    """A table with problems: all of them, in ``problems``."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Tell all problems, and the first rows of each."""
        self.problems = tuple(problems)
        rows = sum(len(p.rows) for p in self.problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        lines = [f"the table has {count}, in {rows:,} rows:", *(f"  {problem}" for problem in self.problems)]
        super().__init__("\n".join(lines))

    def frame(self) -> pd.DataFrame:
        """Return every row that a problem is about: table, column, row, and what is allowed there."""
        import pandas as pd

        parts = [
            pd.DataFrame(
                {"table": p.table, "column": p.column, "row": p.rows, "found": p.found, "allowed": p.allowed},
            )
            for p in self.problems
        ]
        return pd.concat(parts, ignore_index=True)


def shown(values: Sequence[object]) -> str:
    """Say the first few of some values, each once."""
    once = list(dict.fromkeys(str(value) for value in values))
    return ", ".join(once[:MOST_VALUES]) + (", ..." if len(once) > MOST_VALUES else "")
