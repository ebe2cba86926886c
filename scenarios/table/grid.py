"""How do irregular rows become courses on the scenario's grid, with their gaps, and with missing values missing?

Nothing is filled in but interventions, which hold until a row says otherwise, and the counts of event logs, where no
row says that nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.recorded import HeldOut, Provenance, Recorded
from twingym.scenarios.table.parsed import Parsed, Tables
from twingym.scenarios.table.spec import Column, TableSpec
from twingym.scenarios.table.steps import Steps
from twingym.twins.courses import Courses
from twingym.twins.scales import Floats

LEAST_GIVEN = 5  # people: of a level that fewer ever got the table says nothing


class _Grid(Steps):
    """Steps of rows, the length of courses, and how many values gave way to a later one."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.spec, tables.parsed, len(tables.people))
        self.merged = 0

    def block(self, column: Column, p: Parsed, steps: int) -> Floats:
        """Return a column on the grid, (P, steps + 1), NaN where nothing was said."""
        step, values = self.of_column(column, p), p.values[column.name]
        width = steps + 1
        there = np.flatnonzero(np.isfinite(values) & (step >= 0.0) & (step <= steps))
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
    """
    spec, grid = tables.spec, _Grid(tables)
    steps = max(int(grid.length.max()), 1)
    variables = spec.of("variable", "event")
    going = np.arange(steps + 1) <= grid.length[:, None]
    homes = {name: p for p in tables.parsed for name in p.values}
    observed = np.full((grid.people, steps + 1, len(variables)), np.nan)
    for k, column in enumerate(variables):
        if column.role == "event":
            happened = np.isfinite(grid.ended)
            observed[..., k] = (np.arange(steps + 1) == grid.ended[:, None]) & happened[:, None]
        else:
            observed[..., k] = grid.block(column, homes[column.name], steps)
    observed[~going] = np.nan
    delivered = np.zeros((grid.people, steps, len(spec.interventions)))
    for k, column in enumerate(spec.of("intervention")):
        if column.recorded:
            delivered[..., k] = _given(grid, column, homes[column.name], steps)
    delivered[~going[:, 1:]] = 0.0
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
    never_varied = _never_varied(tables, courses, going[:, 1:])
    return Recorded(
        courses,
        tables.people,
        {name: _provenance(tables, name, p, missing.get(name, 0.0)) for name, p in homes.items()},
        grid.merged,
        never_varied,
        held_out(courses, tables),
        _seldom(spec, courses, never_varied),
    )


def _given(grid: _Grid, column: Column, p: Parsed, steps: int) -> Floats:
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


def _seldom(spec: TableSpec, courses: Courses, never_varied: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return how many people ever got a level, by intervention and level, where it was hardly anybody.

    Args:
        spec: The declarations.
        courses: Of the table's people.
        never_varied: Interventions of which that is known already.
    """
    made = np.arange(courses.delivered.shape[1]) < courses.length[:, None]
    found = {}
    for k, i in enumerate(spec.interventions):
        given = np.where(made, courses.delivered[..., k], np.nan)
        people = {level: int((given == number).any(axis=1).sum()) for number, level in enumerate(i.levels)}
        seldom = {level: count for level, count in people.items() if count < LEAST_GIVEN}
        if seldom and i.name not in never_varied:
            found[i.name] = seldom
    return found
