"""What is a table once it was read: numbers, and whose they are?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.table.sheet import Mask, Sheet
from twingym.scenarios.table.spec import TableSpec
from twingym.twins.cohort import Ids
from twingym.twins.scales import Floats

Codes = NDArray[np.intp]


@dataclass
class Parsed:
    """One table as numbers.

    Attributes:
        sheet: Where they come from.
        person: Whose row it is: place in the list of people, -1 if nobody's, (R,).
        time: When, in the scenario's unit since the person's time 0, (R,); NaN without a time.
        until: When the person's follow-up ended, as in the row, (R,); NaN if nobody said.
        values: The declared columns that stand in it, each (R,).
    """

    sheet: Sheet
    person: Codes
    time: Floats
    until: Floats
    values: dict[str, Floats] = field(default_factory=dict)

    @property
    def known(self) -> Mask:
        """Rows of somebody, (R,)."""
        return self.person >= 0

    def spread(self, values: Floats, people: int) -> tuple[Floats, Floats]:
        """Return the least and the largest of each person's values, (P,) each; of nobody's, infinite."""
        low, high = np.full(people, np.inf), np.full(people, -np.inf)
        there = self.known & np.isfinite(values)
        np.minimum.at(low, self.person[there], values[there])
        np.maximum.at(high, self.person[there], values[there])
        return low, high


@dataclass(frozen=True)
class Tables:
    """Tables without a problem.

    Attributes:
        spec: The declarations.
        people: Names of P people as the tables have them.
        ids: Their numbers, (P,).
        parsed: The tables.
        starts: Time 0 of each person on the clock of the dates, (P,); 0 without dates.
    """

    spec: TableSpec
    people: NDArray[np.object_]
    ids: Ids
    parsed: tuple[Parsed, ...]
    starts: Floats
