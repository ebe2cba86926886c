"""What can a table get wrong? All of it is found, in whole columns at once, before anything is made of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from twingym.scenarios.table.columns import find_columns, lacks_people_or_times
from twingym.scenarios.table.files import read_sheets
from twingym.scenarios.table.grid_problems import check_grid
from twingym.scenarios.table.meds import CODE
from twingym.scenarios.table.mixed_units import mixed
from twingym.scenarios.table.parsed import Parsed, Tables
from twingym.scenarios.table.people import check_people, find_people, numbers_of
from twingym.scenarios.table.problems import Problem, TableError
from twingym.scenarios.table.sheet import Mask, Sheet
from twingym.scenarios.table.spec import Column, TableSpec
from twingym.twins.cohort import Rows
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

FAR = 20.0  # times the next: a time so far beyond that of all other people is a slip
MOST_FAR = 0.01  # of the people, at most, who are so far beyond


def check_tables(spec: TableSpec, frames: Mapping[str, pd.DataFrame] | None = None) -> Tables:
    """Read the tables of a spec, if nothing is wrong with them.

    Args:
        spec: The declarations.
        frames: DataFrames by table name, in place of files.

    Raises:
        TableError: Holding all problems.
        SpecError: If a file cannot be read at all.
    """
    sheets = read_sheets(spec, frames or {})
    problems: list[Problem] = []
    homes = find_columns(spec, sheets, problems)
    if lacks_people_or_times(sheets):  # without these nothing more can be said of it
        raise TableError([*problems, *(p for sheet in sheets for p in sheet.problems)])
    labels, codes = find_people(sheets)
    if len(labels) == 0:
        raise TableError([*problems, *(p for sheet in sheets for p in sheet.problems)])
    parsed = []
    for sheet, code in zip(sheets, codes, strict=True):
        found = Parsed(sheet, code, *_clock(spec, sheet))
        for column in homes[sheet.source.name]:
            found.values[column.name] = sheet.numbers(column)
            _check_units(sheet, column)
        parsed.append(found)
    starts = _start(parsed, len(labels))
    for found in parsed:
        columns = homes[found.sheet.source.name]
        _check_times(found, columns)
        _check_far(spec, found, len(labels))
        _check_rows(found, columns, len(labels))
    problems += check_people(spec, labels, parsed, homes)
    check_grid(spec, parsed, labels)
    problems += [p for sheet in sheets for p in sheet.problems]
    if problems:
        raise TableError(problems)
    return Tables(spec, labels, numbers_of(labels), tuple(parsed), starts)


# -- times ---------------------------------------------------------------------------------------------------------


def _clock(spec: TableSpec, sheet: Sheet) -> tuple[Floats, Floats]:
    """Return the times of rows and of the end of follow-up, (R,) each, still on the clock of dates if there are any."""
    source, nothing = sheet.source, np.full(len(sheet.frame), np.nan)
    if source.time is None:
        return nothing, nothing
    time, needed = sheet.times(source.time, spec.dt_unit), ~sheet.may_be_untimed
    sheet.say_blank(source.time, needed, f"a time in {spec.dt_unit}")
    if not sheet.dated:
        sheet.say(source.time, needed & (time < 0.0), "{}", f"0 {spec.dt_unit} or later, since the person's time 0")
    column = sheet.until_column
    if column is not None and column in sheet.frame.columns:
        until = sheet.times(column, spec.dt_unit)
        sheet.say_blank(column, np.isnan(until), "when the person's follow-up ended, in every row")
        return time, until
    if column is not None or source.until is None:  # what is missing was told
        return time, nothing
    return time, np.full(len(time), sheet.instant(source.until, spec.dt_unit))


def _start(parsed: Sequence[Parsed], people: int) -> Floats:
    """Let everybody's time begin at their first row, where times are dates; returns their time 0 (P,)."""
    starts = np.full(people, np.inf)
    dated = [p for p in parsed if p.sheet.dated]
    for p in dated:
        starts = np.minimum(starts, p.spread(np.where(p.sheet.may_be_untimed, np.nan, p.time), people)[0])
    starts = np.where(np.isfinite(starts), starts, 0.0)
    for p in dated:
        own = starts[p.person]
        p.time, p.until = p.time - own, p.until - own
    return starts


def _check_times(p: Parsed, columns: Sequence[Column]) -> None:
    """Tell rows of a person that are twice there, out of order, or after the end.

    A visit says what was then: there is one at a time, and a row out of order is a slip. A row of an event log stands
    for itself, so that its order says nothing; but rows alike in every column may be one event, counted twice.
    """
    import pandas as pd

    sheet, source = p.sheet, p.sheet.source
    order, same = _in_file(p)
    if source.time is None:
        sheet.say(source.person, order[1:][same], "in several rows: {}", "one row per person in a table of traits")
        return
    if source.rows == "events":
        if not source.repeats and any(c.combine in ("rows", "sum") for c in columns):
            twice = p.known & sheet.frame.duplicated(keep=False).to_numpy()
            allowed = "each event once; where both happened, say repeats = true"
            sheet.say(source.time, twice, "rows alike in every column", allowed)
    else:
        key = pd.DataFrame({"person": p.person, "time": p.time})
        if source.format == "meds":
            key["code"] = sheet.frame[CODE].to_numpy()
        twice = p.known & np.isfinite(p.time) & key.duplicated(keep=False).to_numpy()
        sheet.say(source.time, twice, "the same person at the same time twice", "one row per person and time")
        back = same & (p.time[order][1:] < p.time[order][:-1])
        sheet.say(source.time, order[1:][back], "earlier than the person's row before", "sorted times")
    with np.errstate(invalid="ignore"):
        sheet.say(source.time, p.known & (p.time > p.until), "after the end of follow-up", "none there")


def _in_file(p: Parsed) -> tuple[Rows, Mask]:
    """Return the rows of people, person by person, as in the file; and which are of the same one as the row before."""
    order = np.flatnonzero(p.known)
    order = order[np.argsort(p.person[order], kind="stable")]
    return order, p.person[order][1:] == p.person[order][:-1]


def _check_far(spec: TableSpec, p: Parsed, people: int) -> None:
    """Tell times after the latest that was declared or, without one, many times those of anybody else: slips."""
    source = p.sheet.source
    for name, time in ((source.time, p.time), (source.until, p.until)):
        if not isinstance(name, str) or name not in p.sheet.frame.columns:
            continue
        time = np.where(p.sheet.may_be_untimed, np.nan, time)
        latest, found, more = source.latest, "{}", ""
        if latest is None:
            last = p.spread(time, people)[1]
            last = np.sort(last[last > 0.0])
            most = FAR * np.maximum(last[:-1], spec.dt)
            far = np.flatnonzero(last[1:] > most)
            far = far[far >= len(last) - 1 - max(1, int(MOST_FAR * len(last)))]
            latest = most[far[0]] if len(far) else np.inf
            found, more = f"over {FAR:g} times as late as anybody else: {{}}", "; or declare latest, if it is right"
        p.sheet.say(name, p.known & (time > latest), found, f"up to {latest:g} {spec.dt_unit} since time 0{more}")


# -- values --------------------------------------------------------------------------------------------------------


def _check_rows(p: Parsed, columns: Sequence[Column], people: int) -> None:
    """Tell what should not change within a person and does, what is not known, and columns of nothing."""
    sheet, source = p.sheet, p.sheet.source
    order, same = _in_file(p)
    for column in columns:
        values = p.values[column.name]
        fixed = (column.role == "trait" and not column.first) or column.decided == "at entry"
        if fixed or (column.role == "event" and source.until is not None):
            low, high = p.spread(values, people)
            changing = p.known & np.isfinite(values) & (low < high)[p.person]
            sheet.say(column.column, changing, "changes within a person: {}", "one value per person, in all rows")
        if column.role == "intervention" and source.rows == "visits" and source.format != "meds":
            # Nothing is given in steps after a person's last row.
            follows = np.zeros(len(values), dtype=bool)
            follows[order[:-1][same]] = True
            unknown = follows & np.isnan(values) & ~sheet.told(column.column)
            sheet.say(column.column, unknown, "not known", "what was given from this row on")
        if column.role == "variable" and len(values) and not (np.isfinite(values) | sheet.told(column.column)).any():
            sheet.say(column.column, None, "empty in every row", "at least some values; else leave it out")
    if isinstance(source.until, str) and source.until in sheet.frame.columns:
        low, high = p.spread(p.until, people)
        changing = p.known & np.isfinite(p.until) & (low + 1e-9 < high)[p.person]
        sheet.say(source.until, changing, "changes within a person: {}", "one end of follow-up per person")


def _check_units(sheet: Sheet, column: Column) -> None:
    v = column.variable
    if v.kind != "continuous" or v.levels or column.cuts or column.counts or column.combine == "sum":
        return
    raw = sheet.plain_quietly(column.column)
    heap = mixed(raw, v.unit, column.units)
    if heap is not None:
        found = f"{heap.rows.sum()} values seem to be in {heap.unit}, {heap.factor:g} of which are one {v.unit}: {{}}"
        sheet.say(column.column, heap.rows, found, f"all in {v.unit}; convert them, or declare bounds that hold both")
