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
from twingym.scenarios.table.course_problems import PERSON, TIME, CourseTable, problem_frame, refusal
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

if TYPE_CHECKING:
    import pandas as pd


def read_courses(
    scenario: Scenario, table: pd.DataFrame | Path | str, *, least_people: int = 1, going_on: bool = True
) -> Courses:
    """Read courses from a table or a CSV file.

    Args:
        scenario: Whose courses.
        table: A table, or the path of a CSV file with a header.
        least_people: Fewer are refused.
        going_on: Whether all courses go on; else an event may end one in its last row. Of events without a column, or
            in empty cells, it is then known that there were none.

    Raises:
        SpecError: If anything is wrong; the message lists every kind of problem, with row numbers of the file (the
            header is row 1). Nothing of such a table comes in.
    """
    frame, source = _opened(table)
    reading = CourseTable(scenario, frame, least_people, going_on)
    problems = reading.problems()
    if problems:
        raise refusal(source, problems)
    return _courses(reading)


def course_problems(scenario: Scenario, table: pd.DataFrame | Path | str, *, least_people: int = 1) -> pd.DataFrame:
    """Return all that is wrong with a table, a row each: ``row`` (0: the column), ``column``, ``value``, ``allowed``.

    Args:
        scenario: Whose courses.
        table: A table, or the path of a CSV file with a header.
        least_people: Fewer are a problem.

    Raises:
        SpecError: If the file cannot be read at all.
    """
    return problem_frame(CourseTable(scenario, _opened(table)[0], least_people).problems())


def _opened(table: pd.DataFrame | Path | str) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table, "the table"
    try:
        return pd.read_csv(table, low_memory=False), str(table)
    except (OSError, ValueError) as error:
        raise SpecError(f"{table} cannot be read as a course table ({error}); allowed: CSV with a header.") from error


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


def _courses(table: CourseTable) -> Courses:
    """Return the courses of a table without problems, people in the order in which they first appear."""
    scenario, rows, begins = table.scenario, table.order, table.begins
    starts = np.flatnonzero(table.first)
    place = np.arange(len(rows)) - begins  # number of the row within its person
    length = np.diff(np.append(starts, len(rows))) - 1
    appears = np.argsort(rows[starts], kind="stable")
    rank = np.empty_like(appears)
    rank[appears] = np.arange(len(appears))
    person = rank[np.cumsum(table.first) - 1]
    people, steps = len(starts), int(length.max())

    def block(variables: tuple[Variable, ...], columns: int) -> Floats:
        found = np.full((people, columns, len(variables)), np.nan)
        within = place < columns
        for k, v in enumerate(variables):
            values = table.numbers(v)[rows[within]]
            known = table.going_on or v.kind != "event"
            found[person[within], place[within], k] = values if known else np.nan_to_num(values)
        return found

    firsts = rows[starts][appears]
    return Courses(
        table.ids[firsts].astype(np.int64),
        {v.name: table.numbers(v)[firsts] for v in scenario.traits},
        block(scenario.variables, steps + 1),
        block(table.interventions, steps),
        block(scenario.inputs, steps + 1),
        np.full((people, steps), np.nan),
        length[appears],
    )


def _named(variable: Variable, values: Floats) -> Any:
    if not variable.levels:
        return values
    return [variable.levels[int(value)] if np.isfinite(value) else None for value in values]
