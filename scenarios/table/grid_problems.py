"""What shows only on the grid: sums beyond their bounds, what nobody knows at time 0, and too many values?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twingym.scenarios.table.parsed import Parsed
from twingym.scenarios.table.people import Names
from twingym.scenarios.table.problems import shown
from twingym.scenarios.table.spec import Column, TableSpec
from twingym.scenarios.table.steps import Steps

MOST_CELLS = 2e8


def check_grid(spec: TableSpec, parsed: Sequence[Parsed], labels: Names) -> None:
    """Tell it on the sheets, with the rows; what else is wrong with those counts for nothing."""
    steps = Steps(spec, parsed, len(labels))
    for p in parsed:
        for column in (c for c in spec.of("variable", "intervention") if c.name in p.values):
            if column.combine not in ("last", "mean"):
                _check_sums(column, p, steps)
            if column.role == "intervention":
                _check_start(column, p, parsed, steps, labels)
    _check_size(spec, parsed, steps)


def _check_sums(column: Column, p: Parsed, steps: Steps) -> None:
    """Tell rows that add up, or count up, to more or less than is allowed in one step."""
    import pandas as pd

    v, step = column.variable, steps.of_column(column, p)
    rows = pd.DataFrame({"person": p.person, "step": step, "time": p.time, "value": p.values[column.name]})
    rows = rows[p.known].dropna()
    if column.combine == "times":
        rows = rows.drop_duplicates(["person", "time"])
    sums = rows.groupby(["person", "step"])["value"].transform("sum")
    outside = sums[(sums < v.low) | (sums > v.high)]
    allowed = f"{v.low:g} to {v.high:g} {v.unit}".strip() + f" in one step of {steps.dt:g}"
    found = f"up to {outside.max():g} in one step, added up" if len(outside) else ""
    name = column.column if column.column in p.sheet.frame.columns else column.name
    p.sheet.say(name, outside.index.to_numpy(), found, allowed)


def _check_start(column: Column, p: Parsed, parsed: Sequence[Parsed], steps: Steps, labels: Names) -> None:
    """Tell first rows of people of whom nobody knows what was given at time 0."""
    source = p.sheet.source
    once = column.decided == "at entry" or source.time is None
    if source.rows == "events" and not once:
        return  # without a row nothing was given
    said = np.isfinite(p.values[column.name]) & (once | (steps.of(p) == 0.0))
    said |= p.sheet.told(column.column) | p.sheet.told(str(source.time))
    late = np.zeros(steps.people, dtype=bool)
    timed = [q for q in parsed if q.sheet.source.time is not None]
    for q in timed:
        late[q.person[q.known]] = True
    late[p.person[p.known & said]] = False
    for q in (p, *timed):
        people, first = np.unique(q.person[q.known], return_index=True)
        here = people[late[people]]
        rows = np.flatnonzero(q.known)[first[late[people]]]
        found = f"not known at time 0 of {len(here):,} people: {shown(list(labels[here]))}"
        q.sheet.say(column.column, rows, found, f"a {'value' if once else 'row at time 0'} for everybody")
        late[here] = False


def _check_size(spec: TableSpec, parsed: Sequence[Parsed], steps: Steps) -> None:
    """Tell the latest rows where the grid would have too many values, unless their times are told anyway."""
    longest = int(steps.length.max())
    cells = steps.people * (longest + 1.0) * max(len(spec.of("variable", "event")), 1)
    timed = [p for p in parsed if p.sheet.source.time is not None]
    if cells <= MOST_CELLS or any(p.sheet.told(str(p.sheet.source.time)).any() for p in timed):
        return
    found = f"{cells:,.0f} values on the grid: {steps.people:,} people, {longest:,} steps to here"
    allowed = f"{MOST_CELLS:,.0f} values: a longer dt than {spec.dt:g} {spec.dt_unit}, or fewer people at once"
    for p in timed:
        latest = np.fmax(steps.of(p, p.sheet.source.lag), steps.until(p)) >= longest
        p.sheet.say(str(p.sheet.source.time), p.known & latest, found, allowed)
