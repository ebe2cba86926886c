"""How do irregular rows become courses on the scenario's grid, with their gaps, and with missing values missing?

A visit belongs to the step nearest to it. What an event log says of the time after step t - 1 and up to step t belongs
to step t: to the first second it was not known before. Nothing is filled in but interventions, which hold until a row
says otherwise, and the counts of event logs, where no row says that nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.recorded import HeldOut, Provenance, Recorded
from twingym.scenarios.table.check import Parsed, Tables
from twingym.scenarios.table.problems import Problem, TableError
from twingym.scenarios.table.spec import Column
from twingym.twins.courses import Courses
from twingym.twins.scales import Floats

MOST_CELLS = 2e8
TOLERANCE = 1e-6  # of a step


class _Grid:
    """Steps of rows and the length of courses."""

    def __init__(self, tables: Tables) -> None:
        self.tables, self.dt = tables, tables.spec.dt
        self.people = len(tables.people)
        self.merged = 0
        end, last, told = np.full((3, self.people), -1.0)
        for p in tables.parsed:
            if p.sheet.source.time is None:
                continue
            np.maximum.at(last, p.person, np.nan_to_num(self.steps(p), nan=-1.0))
            np.maximum.at(told, p.person, np.nan_to_num(self.steps(p, p.sheet.source.lag), nan=-1.0))
            if np.isfinite(p.until).any():
                np.maximum.at(end, p.person, np.nan_to_num(self.until(p), nan=-1.0))
        self.ended = self._events()  # (P,), infinite for whoever had none
        # Follow-up ends when it was said to, whatever becomes known later; but no visit is beyond it.
        self.length = np.maximum(np.where(end >= 0.0, np.maximum(end, last), told), 0.0)
        self.length = np.where(np.isfinite(self.ended), self.ended, self.length).astype(np.int64)

    def steps(self, p: Parsed, lag: float = 0.0) -> Floats:
        """Return the step of each row, (R,): of a value, that at which it becomes known."""
        time = (p.time + lag) / self.dt
        if p.sheet.source.rows == "events":
            return np.asarray(np.maximum(np.ceil(time - TOLERANCE), 0.0))
        return np.asarray(np.rint(time))

    def until(self, p: Parsed) -> Floats:
        """Return the last whole step of each row's person, (R,)."""
        return np.asarray(np.floor(p.until / self.dt + TOLERANCE))

    def _events(self) -> Floats:
        found = np.full(self.people, np.inf)
        for p in self.tables.parsed:
            for column in self.tables.spec.of("event"):
                if column.name in p.values:
                    happened = p.values[column.name] > 0.0
                    when = p.until / self.dt if np.isfinite(p.until).any() else p.time / self.dt
                    step = np.maximum(np.ceil(when - TOLERANCE), 1.0)
                    np.minimum.at(found, p.person[happened], step[happened])
        return found

    def block(self, column: Column, p: Parsed, steps: int) -> Floats:
        """Return a column on the grid, (P, steps + 1), NaN where nothing was said."""
        lag = p.sheet.source.lag if column.role == "variable" else 0.0
        step, values = self.steps(p, lag), p.values[column.name]
        width = steps + 1
        there = np.flatnonzero(np.isfinite(values) & np.isfinite(step) & (step <= steps))
        order = there[np.lexsort((p.time[there], p.person[there]))]
        if column.combine == "times":  # sorted by person and time: the first row of each time
            new = np.diff(p.time[order], prepend=-1.0) != 0.0
            order = order[new | (np.diff(p.person[order], prepend=-1) != 0)]
        cell, own = p.person[order] * width + step[order].astype(np.intp), values[order]
        count = np.bincount(cell, minlength=self.people * width)
        if column.combine == "last":
            found = np.full(self.people * width, np.nan)
            found[cell] = own  # the last of several is kept
            self.merged += int((count > 1).sum())
        elif column.counts:
            found = count.astype(np.float64)
        else:
            found = np.bincount(cell, own, minlength=self.people * width)
            if column.combine == "mean":
                found = np.where(count > 0, found / np.maximum(count, 1), np.nan)
        return found.reshape(self.people, width)


def on_grid(tables: Tables, held_out: Callable[[Courses, Tables], HeldOut]) -> Recorded:
    """Put checked tables on the grid.

    Args:
        tables: Checked.
        held_out: From courses and tables to the plan by which a twin model is judged.

    Raises:
        TableError: If sums leave their bounds, an intervention is not known at the start, or the grid is too fine.
    """
    spec, grid = tables.spec, _Grid(tables)
    steps = max(int(grid.length.max()), 1)
    variables = spec.of("variable", "event")
    cells = grid.people * (steps + 1) * max(len(variables), 1)
    if cells > MOST_CELLS:
        allowed = f"fewer: a longer dt than {spec.dt:g} {spec.dt_unit}, or fewer people at once"
        raise TableError([Problem("people", "", f"{cells:,.0f} values on the grid", allowed)])
    going = np.arange(steps + 1) <= grid.length[:, None]
    homes = {name: p for p in tables.parsed for name in p.values}
    problems: list[Problem] = []
    observed = np.full((grid.people, steps + 1, len(variables)), np.nan)
    for k, column in enumerate(variables):
        if column.role == "event":
            happened = np.isfinite(grid.ended)
            observed[..., k] = (np.arange(steps + 1) == grid.ended[:, None]) & happened[:, None]
        else:
            observed[..., k] = grid.block(column, homes[column.name], steps)
            problems += _beyond(column, homes[column.name], observed[..., k])
    observed[~going] = np.nan
    delivered = np.zeros((grid.people, steps, len(spec.interventions)))
    for k, column in enumerate(spec.of("intervention")):
        if column.recorded:
            delivered[..., k] = _given(grid, column, homes[column.name], steps, problems)
    delivered[~going[:, 1:]] = 0.0
    if problems:
        raise TableError(problems)
    courses = Courses(
        tables.ids,
        {c.name: _trait(grid, c, homes[c.name]) for c in spec.of("trait")},
        observed,
        delivered,
        np.zeros((grid.people, steps + 1, 0)),
        np.full((grid.people, steps), np.nan),
        grid.length,
    )
    order = np.argsort(courses.ids)
    tables = Tables(spec, tables.people[order], tables.ids[order], tables.parsed, tables.starts[order])
    courses, going = courses.take(order), going[order]
    missing = {c.name: float(np.isnan(courses.observed[going][:, k]).mean()) for k, c in enumerate(variables)}
    return Recorded(
        courses,
        tables.people,
        {name: _provenance(tables, name, p, missing.get(name, 0.0)) for name, p in homes.items()},
        grid.merged,
        _never_varied(tables, courses, going[:, 1:]),
        held_out(courses, tables),
    )


def _beyond(column: Column, p: Parsed, block: Floats) -> list[Problem]:
    """Tell sums that leave the declared bounds."""
    v = column.variable
    if column.combine in ("last", "mean"):
        return []
    outside = np.isfinite(block) & ((block < v.low) | (block > v.high))
    if not outside.any():
        return []
    worst = f"{int(outside.sum())} steps with up to {np.nanmax(block):g}"
    return [Problem(p.sheet.source.name, column.column, worst, f"{v.low:g} to {v.high:g} {v.unit} in one step".strip())]


def _given(grid: _Grid, column: Column, p: Parsed, steps: int, problems: list[Problem]) -> Floats:
    """Return what was given in each step, (P, steps)."""
    if column.decided == "at entry" or p.sheet.source.time is None:
        return np.repeat(_trait(grid, column, p)[:, None], steps, axis=1)
    if p.sheet.source.rows == "events":
        found = np.nan_to_num(grid.block(column, p, steps)[:, 1:])
        return np.asarray(found)
    block = grid.block(column, p, steps)
    if column.between == "held":
        place = np.where(np.isfinite(block), np.arange(steps + 1), -1)
        block = np.take_along_axis(block, np.maximum(np.maximum.accumulate(place, axis=1), 0), axis=1)
    late = np.isnan(block[:, 0])
    if late.any():
        told = f"not known at time 0 of {int(late.sum())} people"
        problems.append(Problem(p.sheet.source.name, column.column, told, "a row at time 0 for everybody"))
    return np.asarray(np.nan_to_num(block[:, :-1]))


def _trait(grid: _Grid, column: Column, p: Parsed) -> Floats:
    """Return a person's one value, or that of their first row, (P,)."""
    found = np.full(grid.people, np.nan)
    there = np.flatnonzero((p.person >= 0) & np.isfinite(p.values[column.name]))
    late_first = there[np.lexsort((-p.time[there], p.person[there]))]
    found[p.person[late_first]] = p.values[column.name][late_first]  # the earliest is written last
    return found


def _provenance(tables: Tables, name: str, p: Parsed, missing: float) -> Provenance:
    source = p.sheet.source
    column = next(c.column for c in tables.spec.columns if c.name == name)
    file = str(tables.spec.path(source).name) if source.file else "DataFrame"
    return Provenance(source.name, file, p.sheet.sha256, column, source.lag, tables.spec.dt_unit, round(missing, 4))


def _never_varied(tables: Tables, courses: Courses, made: NDArray[np.bool_]) -> dict[str, str]:
    found = {}
    for k, i in enumerate(tables.spec.interventions):
        given = courses.delivered[..., k][made]
        if len(given) == 0 or np.ptp(given) == 0.0:
            value = float(given[0]) if len(given) else 0.0
            found[i.name] = repr(i.levels[int(value)]) if i.levels else f"{value:g} {i.unit}".strip()
    return found
