"""At which step of the grid is a row, and how long is a person's course?

A visit belongs to the step nearest to it. What an event log says of the time after step t - 1 and up to step t belongs
to step t: to the first second it was not known before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twingym.scenarios.table.parsed import Parsed
from twingym.scenarios.table.spec import Column, TableSpec
from twingym.twins.scales import Floats

TOLERANCE = 1e-6  # of a step
_LONGEST = 2.0**40  # steps: beyond any table, and still a whole number


class Steps:
    """Steps of rows and the length of P people's courses.

    Attributes:
        people: How many there are.
        ended: Step of a person's event, (P,); infinite for whoever had none.
        length: Last step of each person, (P,).
    """

    def __init__(self, spec: TableSpec, parsed: Sequence[Parsed], people: int) -> None:
        """Take tables, of which rows may still be wrong: what has no time or person counts for nothing."""
        self.dt, self.people = spec.dt, people
        end, last, told = np.full((3, people), -1.0)
        for p in parsed:
            if p.sheet.source.time is None:
                continue
            for longest, steps in ((last, self.of(p)), (told, self.of(p, p.sheet.source.lag)), (end, self.until(p))):
                np.maximum(longest, p.spread(np.clip(steps, -1.0, _LONGEST), people)[1], out=longest)
        self.ended = self._events(spec, parsed)
        # Follow-up ends when it was said to, whatever becomes known later; but no visit is beyond it.
        length = np.maximum(np.where(end >= 0.0, np.maximum(end, last), told), 0.0)
        self.length = np.where(np.isfinite(self.ended), self.ended, length).astype(np.int64)

    def of(self, p: Parsed, lag: float = 0.0) -> Floats:
        """Return the step of each row, (R,): of a value, that at which it becomes known."""
        time = (p.time + lag) / self.dt
        if p.sheet.source.rows == "events":
            return np.asarray(np.maximum(np.ceil(time - TOLERANCE), 0.0))
        return np.asarray(np.rint(time))

    def of_column(self, column: Column, p: Parsed) -> Floats:
        """Return the step at which each row's value of a column becomes known, (R,)."""
        return self.of(p, p.sheet.source.lag if column.role == "variable" else 0.0)

    def until(self, p: Parsed) -> Floats:
        """Return the last whole step of each row's person, (R,)."""
        return np.asarray(np.floor(p.until / self.dt + TOLERANCE))

    def _events(self, spec: TableSpec, parsed: Sequence[Parsed]) -> Floats:
        found = np.full(self.people, np.inf)
        for p in parsed:
            for column in spec.of("event"):
                if column.name in p.values:
                    happened = p.known & (p.values[column.name] > 0.0)
                    when = p.until / self.dt if np.isfinite(p.until).any() else p.time / self.dt
                    step = np.clip(np.ceil(when - TOLERANCE), 1.0, _LONGEST)
                    np.fmin.at(found, p.person[happened], step[happened])
        return found
