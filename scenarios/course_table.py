"""How do people's recorded courses come in as a table, and what is wrong with it?

One row per person and time: ``person`` (a number; may be left out for one person), ``time`` (in the scenario's unit,
from 0 at birth in steps of its length), traits (the same in all rows of a person), observed variables, inputs, and
interventions: the amounts delivered from this time on. Levels go by name or number. An empty cell of an observed
variable is a missing reading. In a person's last row interventions are empty, since nothing is known of what follows,
and inputs may be.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import MAX_ID, Rows
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

if TYPE_CHECKING:
    import pandas as pd

PERSON, TIME = "person", "time"
_MOST_TOLD = 20


def read_courses(scenario: Scenario, table: pd.DataFrame | Path | str, *, going_on: bool = True) -> Courses:
    """Read courses from a table or a CSV file.

    Args:
        scenario: Whose people.
        table: The table, or its file.
        going_on: Whether all courses go on; else an event may end one in its last row. Of events without a column, or
            in empty cells, it is then known that there were none.

    Raises:
        SpecError: If anything is wrong; the message lists it all, with row numbers of the file (the header is row 1).
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        frame, source = table.reset_index(drop=True), "the table"
    else:
        source = str(table)
        try:
            frame = pd.read_csv(table)
        except (OSError, ValueError) as error:
            raise SpecError(
                f"{source} cannot be read as a course table ({error}); allowed: CSV with a header."
            ) from error
    reading = _Reading(scenario, frame, going_on)
    courses = reading.courses()
    if reading.problems:
        told = [f"  {problem}" for problem in reading.problems[:_MOST_TOLD]]
        more = len(reading.problems) - len(told)
        told += [f"  and {more} more"] if more > 0 else []
        raise SpecError("\n".join([f"{source} has {len(reading.problems)} problems:", *told]))
    assert courses is not None
    return courses


def course_frame(scenario: Scenario, courses: Courses) -> pd.DataFrame:
    """Return courses as the table that :func:`read_courses` reads; auditor variables only where something is known."""
    import pandas as pd

    frames = []
    for row in range(len(courses)):
        steps = int(courses.length[row])
        columns: dict[str, Any] = {PERSON: courses.ids[row], TIME: np.arange(steps + 1) * scenario.dt}
        for v in scenario.traits:
            columns[v.name] = _named(v, np.full(steps + 1, courses.traits[v.name][row]))
        for k, v in enumerate(scenario.variables):
            series = courses.observed[row, : steps + 1, k]
            if v.seen_by("twin") or np.isfinite(series).any():
                columns[v.name] = _named(v, series)
        for k, v in enumerate(scenario.inputs):
            columns[v.name] = _named(v, courses.inputs[row, : steps + 1, k])
        for k, v in enumerate(scenario.twin_spec().interventions):
            columns[v.name] = _named(v, np.append(courses.delivered[row, :steps, k], np.nan))
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


class _Reading:
    """A table on its way to courses, and all that is wrong with it."""

    def __init__(self, scenario: Scenario, frame: pd.DataFrame, going_on: bool) -> None:
        self.scenario, self.frame, self.going_on = scenario, frame, going_on
        self.interventions = scenario.twin_spec().interventions
        self.problems: list[str] = []

    def courses(self) -> Courses | None:
        """Return the courses; None, or something wrong, if there are problems."""
        self._check_columns()
        if self.problems:
            return None
        groups = self._people()
        numbers = {
            v.name: self._numbers(v)
            for v in (*self.scenario.traits, *self.scenario.variables, *self.scenario.inputs, *self.interventions)
        }
        if not self.going_on:
            numbers |= {v.name: np.nan_to_num(numbers[v.name]) for v in self.scenario.events}
        for person, rows in groups.items():
            self._check_times(person, rows)
            self._check_known(numbers, person, rows)
        if self.problems or not groups:
            return None
        return self._stack(groups, numbers)

    # -- checks ----------------------------------------------------------------------------------------------

    def _check_columns(self) -> None:
        scenario = self.scenario
        needed = [v.name for v in (*scenario.traits, *scenario.inputs, *self.interventions)]
        # A course that goes on had no event; auditor variables are nobody's to record.
        needed += [v.name for v in scenario.variables if v.seen_by("twin") and v.kind != "event"]
        known = [PERSON, TIME, *needed, *(v.name for v in scenario.variables)]
        for name in self.frame.columns:
            if name in (v.name for v in scenario.derived):
                self.problems.append(f"column {name!r}: it is computed from the others; leave it out.")
            elif name not in known:
                self.problems.append(f"column {name!r}: {unknown('column', str(name), known)}")
        self.problems += [
            f"column {name!r} is missing{self._unit_of(name)}."
            for name in (TIME, *needed)
            if name not in self.frame.columns
        ]
        if len(self.frame) == 0:
            self.problems.append("there are no rows; at least one is needed, time 0.")

    def _unit_of(self, name: str) -> str:
        unit = self.scenario.dt_unit if name == TIME else ""
        for v in (*self.scenario.every_variable(), *self.interventions):
            unit = ", ".join(v.levels) or v.unit if v.name == name else unit
        return f" ({unit})" if unit else ""

    def _people(self) -> dict[int, Rows]:
        import pandas as pd

        if PERSON not in self.frame.columns:
            return {0: np.arange(len(self.frame))}
        ids = pd.to_numeric(self.frame[PERSON], errors="coerce").to_numpy(np.float64)
        wrong = ~((ids >= 0) & (ids < MAX_ID) & (ids == np.floor(ids)))
        for row in np.flatnonzero(wrong):
            self._say(row, PERSON, self.frame[PERSON][row], f"a whole number from 0 to {MAX_ID - 1}")
        return {int(i): np.flatnonzero(ids == i) for i in dict.fromkeys(ids[~wrong].tolist())}

    def _numbers(self, v: Variable) -> Floats:
        """Return a column as numbers, NaN where the cell is empty; whatever cannot be is told."""
        import pandas as pd

        if v.name not in self.frame.columns:
            return np.full(len(self.frame), np.nan)
        cells = self.frame[v.name]
        if v.levels:
            cells = cells.map(lambda cell: v.levels.index(cell) if cell in v.levels else cell)
        numbers = np.asarray(pd.to_numeric(cells, errors="coerce").to_numpy(np.float64), dtype=np.float64)
        wrong = cells.notna().to_numpy() & ~((numbers >= v.low) & (numbers <= v.high))
        if v.kind != "continuous":
            wrong |= np.isfinite(numbers) & (numbers != np.rint(numbers))
        span = ", ".join(v.levels) or f"{v.low:g} to {v.high:g} {v.unit}".strip()
        for row in np.flatnonzero(wrong):
            self._say(
                row,
                v.name,
                self.frame[v.name][row],
                span if v.kind == "continuous" or v.levels else f"{span}, whole numbers",
            )
        return numbers

    def _check_times(self, person: int, rows: Rows) -> None:
        import pandas as pd

        times = pd.to_numeric(self.frame[TIME], errors="coerce").to_numpy(np.float64)[rows]
        for place, (row, time) in enumerate(zip(rows, times, strict=True)):
            wanted = place * self.scenario.dt
            if not abs(time - wanted) <= 1e-6 * max(1.0, wanted):
                about = f"{wanted:g} {self.scenario.dt_unit}: a row each {self.scenario.dt:g}, sorted, from 0 at birth"
                self._say(
                    int(row), TIME, self.frame[TIME][row], f"{about} (person {person}); later rows were not checked"
                )
                return

    def _check_known(self, numbers: dict[str, Floats], person: int, rows: Rows) -> None:
        for v in self.scenario.traits:
            own = numbers[v.name][rows]
            for place in np.flatnonzero(~(own == own[0])):
                self._say(int(rows[place]), v.name, own[place], f"one value per person, in all rows (person {person})")
        for v in (*self.scenario.inputs, *self.interventions):
            for row in rows[:-1][np.isnan(numbers[v.name][rows[:-1]])]:
                self._say(
                    int(row), v.name, "empty", f"known in all rows but the last of person {person}; 0 if there was none"
                )
        for v in self.interventions:
            if np.isfinite(numbers[v.name][rows[-1]]):
                self._say(
                    int(rows[-1]), v.name, numbers[v.name][rows[-1]], "empty in the last row: policies decide on it"
                )
        for v in self.scenario.events:
            ended = rows[numbers[v.name][rows] > 0.0]
            for row in ended if self.going_on else ended[ended != rows[-1]]:
                self._say(int(row), v.name, 1, "0: an event ends a course, and nothing can follow")

    def _say(self, row: int | np.integer[Any], name: str, value: object, allowed: str) -> None:
        self.problems.append(f"row {row + 2}, {name}: {value}; allowed: {allowed}.")

    # -- courses ---------------------------------------------------------------------------------------------

    def _stack(self, groups: dict[int, Rows], numbers: dict[str, Floats]) -> Courses:
        length = np.array([len(rows) - 1 for rows in groups.values()])
        people, steps = len(groups), int(length.max())

        def block(variables: tuple[Variable, ...], columns: int) -> Floats:
            found = np.full((people, columns, len(variables)), np.nan)
            for place, rows in enumerate(groups.values()):
                for k, v in enumerate(variables):
                    found[place, : min(len(rows), columns), k] = numbers[v.name][rows[:columns]]
            return found

        return Courses(
            np.array(list(groups), dtype=np.int64),
            {v.name: np.array([numbers[v.name][rows[0]] for rows in groups.values()]) for v in self.scenario.traits},
            block(self.scenario.variables, steps + 1),
            block(self.interventions, steps),
            block(self.scenario.inputs, steps + 1),
            np.full((people, steps), np.nan),
            length,
        )


def _named(variable: Variable, values: Floats) -> Any:
    if not variable.levels:
        return values
    return [variable.levels[int(value)] if np.isfinite(value) else None for value in values]
