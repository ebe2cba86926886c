"""Which declared column stands in which table, which is missing, and what did nobody declare?"""

from __future__ import annotations

from collections.abc import Iterable

from twingym.scenarios.table.meds import CODE
from twingym.scenarios.table.problems import Problem
from twingym.scenarios.table.sheet import Sheet
from twingym.scenarios.table.spec import Column, TableSpec
from twingym.twins.errors import nearest


def find_columns(spec: TableSpec, sheets: list[Sheet], problems: list[Problem]) -> dict[str, list[Column]]:
    """Return which declared columns stand in which table; tell what is missing, and what nobody declared."""
    homes: dict[str, list[Column]] = {sheet.source.name: [] for sheet in sheets}
    for column in spec.columns:
        if not column.recorded or (column.counts and column.column == column.name):
            column_homes = [s for s in sheets if s.source.rows == "events"] if column.recorded else []
        else:
            column_homes = [
                s for s in sheets if column.table in ("", s.source.name) and column.column in s.frame.columns
            ]
        if len(column_homes) > 1:
            names = ", ".join(s.source.name for s in column_homes)
            problems.append(
                Problem(names, column.column, "in several tables", f"one; say table = NAME for {column.name!r}")
            )
        elif column_homes:
            homes[column_homes[0].source.name].append(column)
        elif column.recorded:
            there = {str(name) for s in sheets for name in s.frame.columns}
            unit = f" ({column.variable.unit})" if column.variable.unit else ""
            where = column.table or ", ".join(homes)
            found = "no rows with this code" if CODE in there else "missing"
            allowed = f"a column for {column.name!r}{unit}{_meant(column.column, there)}"
            problems.append(Problem(where, column.column, found, allowed))
    for sheet in sheets:
        source = sheet.source
        named = {source.person, source.time, source.until, *source.ignore}
        named |= {CODE} if source.format == "meds" else set()
        named |= {c.column for c in spec.columns if c.table in ("", source.name)}
        for name in sheet.frame.columns:
            if name not in named:
                # Many columns are none of the spec's: only a name that is much like one of them is a slip.
                near = nearest(str(name), (c.column for c in spec.columns), 0.6)
                guess = f" (is it {near!r}?)" if near else ""
                sheet.say(str(name), None, "an unknown column", f"those the spec declares{guess}, or list it in ignore")
        if len(sheet.frame) == 0:
            sheet.say("", None, "no rows", "at least one for each person")
    return homes


def lacks_people_or_times(sheets: list[Sheet]) -> bool:
    """Tell which columns of people and times a table lacks; returns whether it says nothing without them."""
    lacks = all(len(sheet.frame) == 0 for sheet in sheets)
    for sheet in sheets:
        source, columns = sheet.source, sheet.frame.columns
        for name in (source.person, source.time, sheet.until_column):
            if name is not None and name not in columns:
                sheet.say(name, None, "missing", f"the column that the spec names{_meant(name, map(str, columns))}")
                lacks |= name in (source.person, source.time)
    return lacks


def _meant(name: str, there: Iterable[str]) -> str:
    near = nearest(name, there)
    return f"; did you mean {near!r}" if near else ""
