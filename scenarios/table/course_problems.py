"""What is wrong with a table of recorded courses: every problem, with its row, before anything is made of it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.scenario import Scenario
from twingym.scenarios.table.problems import LISTED_SPANS, spans
from twingym.scenarios.units import factors_from
from twingym.twins.cohort import MAX_ID, Rows
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

if TYPE_CHECKING:
    import pandas as pd

PERSON, TIME = "person", "time"
_SHOWN_ALIKE = 6  # lines of a message about problems of one kind
_ROUNDING = 1e-6
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """One kind of thing that is wrong, and where.

    Attributes:
        column: Where it is; empty if it is the table.
        allowed: What is allowed there.
        rows: Positions of the rows; none if it is the whole column.
        values: What stands there, one for each row; or one text about the column.
    """

    column: str
    allowed: str
    rows: Rows
    values: list[object]

    def lines(self) -> Iterator[str]:
        """Yield a line for each row; rows are counted as a spreadsheet does, the header being row 1."""
        if not len(self.rows):
            yield self.allowed
        for row, value in zip(self.rows, self.values, strict=True):
            yield f"row {row + 2}, {self.column}: {value}; allowed: {self.allowed}."

    @property
    def count(self) -> int:
        """How many there are."""
        return max(1, len(self.rows))


class CourseTable:
    """A table that claims to hold courses of a scenario: its columns as numbers, its rows by person, its problems.

    Attributes:
        scenario: Whose courses.
        frame: One row per person and time, in any order of people.
        interventions: As variables: what columns of delivered amounts hold.
        going_on: Whether all courses go on.
    """

    def __init__(self, scenario: Scenario, frame: pd.DataFrame, least_people: int = 1, going_on: bool = True) -> None:
        """Take a table.

        Args:
            scenario: Whose courses.
            frame: The table.
            least_people: Fewer are a problem.
            going_on: Whether an event, even in a course's last row, is one.
        """
        self.scenario, self.frame = scenario, frame.reset_index(drop=True)
        self.going_on = going_on
        self.interventions = scenario.twin_spec().interventions
        self._least_people = least_people
        self._read: dict[str, Floats] = {}
        self._wrong: dict[str, Mask] = {}

    # -- the table as numbers --------------------------------------------------------------------------------

    @cached_property
    def ids(self) -> Floats:
        """Person of each row, NaN where it is no whole number; 0 without such a column."""
        if PERSON not in self.frame.columns:
            return np.zeros(len(self.frame))
        ids = self._plain(PERSON)
        return np.where((ids >= 0) & (ids < MAX_ID) & (ids == np.floor(ids)), ids, np.nan)

    @cached_property
    def order(self) -> Rows:
        """Rows of known people, person by person, each in the order of the table."""
        known = np.flatnonzero(np.isfinite(self.ids))
        return known[np.argsort(self.ids[known], kind="stable")]

    @cached_property
    def first(self) -> Mask:
        """Which of the ordered rows are a person's first."""
        ids = self.ids[self.order]
        return np.append(True, ids[1:] != ids[:-1])[: len(ids)]

    @cached_property
    def last(self) -> Mask:
        """Which of the ordered rows are a person's last."""
        return np.append(self.first[1:], True)[: len(self.first)]

    @cached_property
    def begins(self) -> Rows:
        """For each of the ordered rows the place, among them, of the person's first."""
        return np.maximum.accumulate(np.where(self.first, np.arange(len(self.order)), 0))

    def numbers(self, v: Variable) -> Floats:
        """Return a column as numbers, levels as theirs; NaN where a cell is empty or no number, or all is missing."""
        if v.name not in self._read:
            missing = v.name not in self.frame.columns
            self._read[v.name] = np.full(len(self.frame), np.nan) if missing else self._plain(v.name, v.levels)
        return self._read[v.name]

    def _plain(self, name: str, levels: tuple[str, ...] = ()) -> Floats:
        import pandas as pd

        cells = self.frame[name]
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        if levels and not pd.api.types.is_numeric_dtype(cells):
            named = cells.map({level: float(number) for number, level in enumerate(levels)}).to_numpy(np.float64)
            numbers = np.where(np.isnan(named), numbers, named)
        return np.asarray(numbers, dtype=np.float64)

    # -- problems --------------------------------------------------------------------------------------------

    def problems(self) -> list[Problem]:
        """Return all that is wrong; rows are looked at once the columns are right."""
        return list(self._columns()) or [
            *self._people(),
            *self._values(),
            *self._times(),
            *self._constancy(),
            *self._actions(),
        ]

    def _columns(self) -> Iterator[Problem]:
        s = self.scenario
        needed = [v.name for v in (*s.traits, *s.inputs, *self.interventions)]
        # A course that goes on had no event; auditor variables are nobody's to record.
        needed += [v.name for v in s.variables if v.seen_by("twin") and v.kind != "event"]
        known = [PERSON, TIME, *needed, *(v.name for v in s.variables)]
        names = [str(name) for name in self.frame.columns]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                yield _whole(name, f"is there {names.count(name)} times; leave one.")
            if name in (v.name for v in s.derived):
                yield _whole(name, "is computed from the others; leave it out.")
            elif name not in known:
                yield _whole(name, f"is none of them: {unknown('column', name, known)}")
        for name in (TIME, *needed):
            if name not in names:
                yield _whole(name, f"is missing{self._unit_of(name)}.")
        if len(self.frame) == 0:
            yield Problem("", "there are no rows; at least one is needed, time 0.", _NONE, [])

    def _unit_of(self, name: str) -> str:
        unit = self.scenario.dt_unit if name == TIME else ""
        for v in (*self.scenario.every_variable(), *self.interventions):
            unit = ", ".join(v.levels) or v.unit if v.name == name else unit
        return f" ({unit})" if unit else ""

    def _people(self) -> Iterator[Problem]:
        yield from self._at(PERSON, np.isnan(self.ids), f"a whole number from 0 to {MAX_ID - 1}")
        count = int(self.first.sum())
        if count < self._least_people:
            yield _whole(PERSON, f"names {count} people; at least {self._least_people} are needed.")

    def _values(self) -> Iterator[Problem]:
        """Find what is no number, no level, or beyond the bounds, and columns that hold nothing at all."""
        s = self.scenario
        for v in (*s.traits, *s.variables, *s.inputs, *self.interventions):
            if v.name not in self.frame.columns:
                continue
            numbers, filled = self.numbers(v), self.frame[v.name].notna().to_numpy()
            text = filled & np.isnan(numbers)
            beyond = ~np.isnan(numbers) & ~((numbers >= v.low) & (numbers <= v.high))
            odd = ~beyond & (np.isfinite(numbers) & (numbers != np.rint(numbers)) if v.kind != "continuous" else False)
            self._wrong[v.name] = text | beyond | odd
            yield from self._at(v.name, text, v.allowed if v.levels else f"{v.allowed}, a number")
            # From 0 on whatever is too much would fit in a smaller unit.
            for unit, by in factors_from(v.unit).items() if v.kind == "continuous" and v.unit and v.low > 0.0 else ():
                fits = beyond & (numbers / by >= v.low) & (numbers / by <= v.high)
                yield from self._at(v.name, fits, f"{v.allowed}; in {unit} it would fit: one unit for all")
                beyond &= ~fits
            yield from self._at(v.name, beyond | odd, v.allowed)
            recorded = v in s.variables and v.kind != "event" and v.seen_by("twin")
            if recorded and len(numbers) > int(self.first.sum()) and not filled.any():
                yield _whole(
                    v.name,
                    f"is empty in all {len(numbers):,} rows; record some of it, or leave the scenario without it.",
                )

    def _times(self) -> Iterator[Problem]:
        """Find what is no time, twice there, out of order, or not a step after the row before."""
        s, times = self.scenario, self._plain(TIME)
        unit, close = s.dt_unit, _ROUNDING * s.dt
        yield from self._at(TIME, ~np.isfinite(times), f"a number of {unit}")
        yield from self._at(TIME, times < 0.0, f"0 {unit} (birth) or more")
        rows, own = self.order, times[self.order]
        right = np.isfinite(own) & (own >= 0.0)
        late = self.first & right & (own > close)
        yield from self._at(TIME, late, f"0 {unit} in a person's first row: birth", rows)
        since = np.append(np.nan, np.diff(own))[: len(own)]
        since[self.first | np.append(True, ~right[:-1])[: len(own)]] = np.nan
        by_time = np.lexsort((np.arange(len(rows)), own, self.ids[rows]))
        again = np.zeros(len(rows), bool)
        same = (self.ids[rows][by_time][1:] == self.ids[rows][by_time][:-1]) & (np.diff(own[by_time]) <= close)
        again[by_time[1:]] = same
        again &= right
        yield from self._at(TIME, again, "each time of a person once", rows)
        back = right & ~again & (since < 0.0)
        yield from self._at(TIME, back, "sorted: later than in the person's row before", rows)
        jump = right & (since > 0.0) & ~(np.abs(since - s.dt) <= np.maximum(close, _ROUNDING * np.abs(own)))
        yield from self._at(TIME, jump, f"{s.dt:g} {unit} after the person's row before: a row each {s.dt:g}", rows)

    def _constancy(self) -> Iterator[Problem]:
        for v in self.scenario.traits:
            own = self.numbers(v)[self.order]
            other = ~(own == own[self.begins]) & ~self._wrong[v.name][self.order]
            yield from self._at(v.name, other, "one value per person, in all rows", self.order)

    def _actions(self) -> Iterator[Problem]:
        """Find what is not known though it must be, and what cannot be known yet."""
        s = self.scenario
        for v in (*s.inputs, *self.interventions):
            own = self.numbers(v)[self.order]
            unknown_yet = ~self.last & np.isnan(own) & ~self._wrong[v.name][self.order]
            always = "known in all rows but the last of a person; 0 if there was none"
            yield from self._at(v.name, unknown_yet, always, self.order)
            if v in self.interventions:
                decided = self.last & np.isfinite(own)
                yield from self._at(v.name, decided, "empty in the last row: policies decide on it", self.order)
        for v in s.events:
            happened = self.numbers(v)[self.order] > 0.0
            wrong = happened if self.going_on else happened & ~self.last
            yield from self._at(v.name, wrong, "0: an event ends a course, and nothing can follow", self.order)

    def _at(self, name: str, where: Mask, allowed: str, rows: Rows | None = None) -> Iterator[Problem]:
        """Yield the problem of the rows in a mask, if there are any; masks of ordered rows come with those."""
        found = np.flatnonzero(where) if rows is None else np.sort(rows[where])
        if len(found):
            cells = self.frame[name].iloc[found]
            yield Problem(name, allowed, found, cells.astype(object).where(cells.notna(), "empty").tolist())


_NONE: Rows = np.empty(0, dtype=np.intp)


def _whole(column: str, said: str) -> Problem:
    return Problem(column, f"column {column!r} {said}", _NONE, [])


def refusal(source: str, problems: list[Problem]) -> SpecError:
    """Return the error that tells all problems: of many of one kind the first, and at its end the rows of all."""
    told: list[str] = []
    listed: list[str] = []
    for problem in problems:
        lines = problem.lines()
        told += [f"  {line}" for line, _ in zip(lines, range(_SHOWN_ALIKE), strict=False)]
        if problem.count > _SHOWN_ALIKE:
            more = problem.count - _SHOWN_ALIKE
            told.append(f"  and {more:,} more rows, {problem.column}; allowed: {problem.allowed}.")
            listed.append(f"  {problem.column}: rows {spans(np.asarray(problem.rows) + 2, LISTED_SPANS)}")
    count = sum(problem.count for problem in problems)
    told += ["all rows:", *listed] if listed else []
    return SpecError("\n".join([f"{source} has {count:,} problem{'s' if count > 1 else ''}:", *told]))


def problem_frame(problems: list[Problem]) -> pd.DataFrame:
    """Return all problems as a table: ``row`` (0: the whole column), ``column``, ``value``, ``allowed``."""
    import pandas as pd

    rows: list[tuple[int, str, Any, str]] = []
    for p in problems:
        places = [int(row) + 2 for row in p.rows] or [0]
        rows += [(row, p.column, value, p.allowed) for row, value in zip(places, p.values or [""], strict=True)]
    return pd.DataFrame(rows, columns=["row", "column", "value", "allowed"])
