"""What is wrong with a table: one list of it all, with row numbers, before anything is made of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twingym.twins.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

MOST_SPANS, MOST_VALUES = 6, 3  # of a problem that its own line tells; the text's end has the other rows
LISTED_SPANS = 1000  # of a problem at the end of the text; whatever is beyond stands in TableError.frame()
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
        where = f", row{'s' if len(self.rows) > 1 else ''} {spans(self.rows, MOST_SPANS)}" if len(self.rows) else ""
        return f"{self.table}{where}{self._column}: {self.found}; allowed: {self.allowed}."

    @property
    def _column(self) -> str:
        return f", {self.column}" if self.column else ""

    def all_rows(self) -> str:
        """Say all rows in one line, where the problem's own line has only the first; else nothing."""
        if len(self.rows) <= MOST_SPANS or (whole := spans(self.rows, LISTED_SPANS)) == spans(self.rows, MOST_SPANS):
            return ""
        more = "; TableError.frame() has the others" if ", ..." in whole else ""
        return f"{self.table}{self._column}: rows {whole}{more}"


class TableError(SpecError):
    """A table with problems: all of them, in ``problems``."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Tell every problem in a line, then all rows of those that are in many."""
        self.problems = tuple(problems)
        rows = sum(len(p.rows) for p in self.problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        lines = [f"the table has {count}, in {rows:,} rows:", *(f"  {problem}" for problem in self.problems)]
        listed = [line for line in (problem.all_rows() for problem in self.problems) if line]
        super().__init__("\n".join([*lines, *(["all rows:"] if listed else []), *(f"  {line}" for line in listed)]))

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


def spans(rows: NDArray[Any], most: int) -> str:
    """Say sorted row numbers, those in a row as ``8 to 12``: the first ``most`` spans, and how many rows there are."""
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts, lasts = rows[np.r_[0, cuts]], rows[np.r_[cuts - 1, len(rows) - 1]]
    ends = list(zip(firsts[:most].tolist(), lasts[:most].tolist(), strict=True))
    told = [f"{a}" if a == b else f"{a}, {b}" if b == a + 1 else f"{a} to {b}" for a, b in ends]
    dots = ", ..." if len(firsts) > most else ""
    count = f" ({len(rows):,} rows)" if len(rows) > MOST_SPANS or dots else ""
    return ", ".join(told) + dots + count


def shown(values: Sequence[object]) -> str:
    """Say the first few of some values, each once."""
    once = list(dict.fromkeys(str(value) for value in values))
    return ", ".join(once[:MOST_VALUES]) + (", ..." if len(once) > MOST_VALUES else "")
