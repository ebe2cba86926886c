"""What can a table get wrong? All of it is found, in whole columns at once, before anything is made of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.table.columns import find_columns, find_people_and_times
from twingym.scenarios.table.meds import CODE
from twingym.scenarios.table.mixed_units import mixed
from twingym.scenarios.table.problems import Problem, TableError
from twingym.scenarios.table.sheet import Sheet, read_sheets
from twingym.scenarios.table.spec import Column, TableSpec
from twingym.twins.cohort import MAX_ID, Ids, split_of
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

LEAST_PEOPLE, LEAST_IN_SPLIT = 50, 3
SAME_COURSE = 3  # rows from which two people with the same ones are one person
Codes = NDArray[np.intp]
PEOPLE = "people"


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
    find_people_and_times(sheets)
    if problems or any(sheet.problems for sheet in sheets):
        # Without its columns a table says nothing more.
        raise TableError([*problems, *(p for sheet in sheets for p in sheet.problems)])
    labels, codes = _labels(sheets)
    parsed = []
    for sheet, code in zip(sheets, codes, strict=True):
        found = Parsed(sheet, code, *_clock(spec, sheet))
        for column in homes[sheet.source.name]:
            found.values[column.name] = sheet.numbers(column)
            _check_units(sheet, column)
        parsed.append(found)
    starts = _start(spec, parsed, len(labels))
    for found in parsed:
        _check_rows(spec, found, homes[found.sheet.source.name], labels)
    problems += _check_people(spec, labels, parsed)
    problems += [p for sheet in sheets for p in sheet.problems]
    if problems:
        raise TableError(problems)
    return Tables(spec, labels, numbers_of(labels), tuple(parsed), starts)


def numbers_of(labels: NDArray[np.object_]) -> Ids:
    """Return a number for each person's name, the same in every table that has it: itself, or a hash of the text."""
    import pandas as pd

    text = pd.Series(labels.astype(str))
    plain = text.str.fullmatch(r"0|[1-9]\d{0,8}").to_numpy(bool)
    ids = np.zeros(len(text), dtype=np.int64)
    ids[plain] = text[plain].astype(np.int64)
    order = np.argsort(~plain, kind="stable")  # numbers first: they stay as they are
    open_rows, attempt = np.flatnonzero(~plain), 0
    while len(open_rows):
        salted = (text.iloc[open_rows] + f"#{attempt}").to_numpy(object)
        ids[open_rows] = (pd.util.hash_array(salted) % np.uint64(MAX_ID)).astype(np.int64)
        _, first = np.unique(ids[order], return_index=True)
        open_rows = np.setdiff1d(np.arange(len(text)), order[first])  # who shares a number with somebody earlier
        attempt += 1
    return ids


# -- people and times ----------------------------------------------------------------------------------------------


def _labels(sheets: list[Sheet]) -> tuple[NDArray[np.object_], list[Codes]]:
    """Return who there is, sorted, and whose row each is; rows without a person are told."""
    import pandas as pd

    texts = []
    for sheet in sheets:
        cells = sheet.frame[sheet.source.person]
        if pd.api.types.is_float_dtype(cells) and bool((cells.dropna() % 1 == 0).all()):
            cells = cells.astype("Int64")
        text = cells.astype(object).map(lambda cell: str(cell).strip(), na_action="ignore")
        sheet.say(sheet.source.person, text.isna().to_numpy() | (text == "").to_numpy(), "empty", "whose row it is")
        texts.append(text)
    everybody = pd.concat(texts, ignore_index=True)
    codes, once = pd.factorize(everybody, sort=True)
    parts = np.split(codes, np.cumsum([len(text) for text in texts])[:-1])
    return np.asarray(once, dtype=object), [part.astype(np.intp) for part in parts]


def _clock(spec: TableSpec, sheet: Sheet) -> tuple[Floats, Floats]:
    """Return the times of rows and of the end of follow-up, (R,) each, still on the clock of dates if there are any."""
    source, nothing = sheet.source, np.full(len(sheet.frame), np.nan)
    if source.time is None:
        return nothing, nothing
    time = sheet.times(source.time, spec.dt_unit)
    empty = sheet.frame[source.time].isna().to_numpy()
    if source.format != "meds":
        sheet.say(source.time, empty, "empty", f"a time in {spec.dt_unit}")
    if source.dates is None:
        sheet.say(source.time, time < 0.0, "{}", f"0 {spec.dt_unit} or later, since the person's time 0")
    if source.until is None:
        return time, nothing
    if isinstance(source.until, str) and source.until in sheet.frame.columns:
        until = sheet.times(source.until, spec.dt_unit)
        sheet.say(source.until, np.isnan(until), "not known", "when the person's follow-up ended, in every row")
        return time, until
    return time, np.full(len(time), sheet.instant(source.until, spec.dt_unit))


def _start(spec: TableSpec, parsed: list[Parsed], people: int) -> Floats:
    """Let everybody's time begin at their first row, where times are dates; returns their time 0 (P,)."""
    starts = np.full(people, np.inf)
    dated = [p for p in parsed if p.sheet.source.dates is not None]
    for p in dated:
        known = (p.person >= 0) & np.isfinite(p.time)
        np.minimum.at(starts, p.person[known], p.time[known])
    starts = np.where(np.isfinite(starts), starts, 0.0)
    for p in dated:
        own = starts[p.person]
        p.time, p.until = p.time - own, p.until - own
    return starts


def _check_rows(spec: TableSpec, p: Parsed, columns: list[Column], labels: NDArray[np.object_]) -> None:
    """Tell times out of order or twice, rows after the end, and what should not change within a person."""
    import pandas as pd

    sheet, source = p.sheet, p.sheet.source
    known = p.person >= 0
    order = np.flatnonzero(known)
    order = order[np.argsort(p.person[order], kind="stable")]  # rows of a person, as they stand in the file
    same = p.person[order][1:] == p.person[order][:-1]
    if source.time is None:
        sheet.say(source.person, order[1:][same], "in several rows: {}", "one row per person in a table of traits")
    else:
        key = pd.DataFrame({"person": p.person, "time": p.time})
        if source.format == "meds":
            key["code"] = sheet.frame[CODE].to_numpy()
        there = known & np.isfinite(p.time)
        if source.rows == "visits":
            twice = there & key.duplicated(keep=False).to_numpy()
            sheet.say(source.time, twice, "the same person at the same time twice", "one row per person and time")
            back = same & (p.time[order][1:] < p.time[order][:-1])
            sheet.say(source.time, order[1:][back], "earlier than the person's row before", "sorted times")
        with np.errstate(invalid="ignore"):
            sheet.say(source.time, there & (p.time > p.until), "after the end of follow-up", "none there")
        _check_same_course(p, [c.name for c in columns if c.role in ("variable", "intervention")], labels)
    for column in columns:
        values = p.values[column.name]
        fixed = (column.role == "trait" and not column.first) or column.decided == "at entry"
        if fixed or (column.role == "event" and source.until is not None):
            low, high = np.full(len(labels), np.inf), np.full(len(labels), -np.inf)
            there = known & np.isfinite(values)
            np.minimum.at(low, p.person[there], values[there])
            np.maximum.at(high, p.person[there], values[there])
            changing = there & (low < high)[p.person]
            sheet.say(column.column, changing, "changes within a person: {}", "one value per person, in all rows")
        if column.role == "intervention" and source.rows == "visits" and source.format != "meds":
            # Nothing is given in steps after a person's last row.
            follows = np.zeros(len(values), dtype=bool)
            follows[order[:-1][same]] = True
            sheet.say(column.column, follows & np.isnan(values), "not known", "what was given from this row on")
        if column.role == "variable" and len(values) and not np.isfinite(values).any():
            sheet.say(column.column, None, "empty in every row", "at least some values; else leave it out")
    if isinstance(source.until, str) and source.until in sheet.frame.columns:
        low, high = np.full(len(labels), np.inf), np.full(len(labels), -np.inf)
        there = known & np.isfinite(p.until)
        np.minimum.at(low, p.person[there], p.until[there])
        np.maximum.at(high, p.person[there], p.until[there])
        changing = there & (low + 1e-9 < high)[p.person]
        sheet.say(source.until, changing, "changes within a person: {}", "one end of follow-up per person")


def _check_same_course(p: Parsed, names: list[str], labels: NDArray[np.object_]) -> None:
    """Tell people whose rows are those of somebody else: one person under two names may come into two splits."""
    import pandas as pd

    if not names:
        return
    rows = pd.util.hash_pandas_object(
        pd.DataFrame({"time": p.time, **{name: p.values[name] for name in names}}), index=False
    ).to_numpy()
    sums, count = np.zeros(len(labels), dtype=np.uint64), np.zeros(len(labels), dtype=np.int64)
    known = p.person >= 0
    with np.errstate(over="ignore"):
        np.add.at(sums, p.person[known], rows[known])
    np.add.at(count, p.person[known], 1)
    said = np.zeros(len(labels), dtype=bool)
    several = np.flatnonzero(count >= SAME_COURSE)
    said[several] = pd.DataFrame({"sum": sums[several], "count": count[several]}).duplicated(keep=False).to_numpy()
    if p.sheet.source.rows == "visits":
        p.sheet.say(
            p.sheet.source.person, known & said[p.person], "the same course under several names: {}", "each person once"
        )


def _check_units(sheet: Sheet, column: Column) -> None:
    v = column.variable
    if v.kind != "continuous" or v.levels or column.cuts or column.counts or column.combine == "sum":
        return
    raw = sheet.plain_quietly(column.column)
    heap = mixed(raw, v.unit, column.units)
    if heap is not None:
        found = f"{heap.rows.sum()} values seem to be in {heap.unit}, {heap.factor:g} of which are one {v.unit}: {{}}"
        sheet.say(column.column, heap.rows, found, f"all in {v.unit}; convert them, or declare bounds that hold both")


def _check_people(spec: TableSpec, labels: NDArray[np.object_], parsed: list[Parsed]) -> list[Problem]:
    """Tell people who are two, who are nowhere else, and who are too few."""
    import pandas as pd

    problems = []
    plain = pd.Series(labels.astype(str)).str.casefold().str.replace(r"^0+(?=\d)", "", regex=True)
    alike = plain.duplicated(keep=False).to_numpy()
    timed = np.zeros(len(labels), dtype=bool)
    for p in parsed:
        sheet = p.sheet
        known = p.person >= 0
        told = "names that differ in case or leading zeros only: {}"
        sheet.say(sheet.source.person, known & alike[p.person], told, "one name per person, who else is in two splits")
        if sheet.source.time is not None:
            timed[p.person[known]] = True
    for p in parsed:
        known = p.person >= 0
        if p.sheet.source.time is None:
            p.sheet.say(
                p.sheet.source.person, known & ~timed[p.person], "in no table with times: {}", "people with rows"
            )
    for column in spec.of("trait"):
        found = np.zeros(len(labels), dtype=bool)
        for p in parsed:
            if column.name in p.values:
                known = (p.person >= 0) & np.isfinite(p.values[column.name])
                found[p.person[known]] = True
        lacking = np.flatnonzero(timed & ~found)
        if len(lacking):
            for p in parsed:
                if p.sheet.source.time is not None:
                    rows = (p.person >= 0) & np.isin(p.person, lacking)
                    p.sheet.say(column.column, rows, f"trait {column.name!r} not known", "a value for each person")
    people = labels[timed]
    if len(people) < LEAST_PEOPLE:
        problems.append(Problem(PEOPLE, "", f"{len(people)} people", f"at least {LEAST_PEOPLE}, to fit and to judge"))
    else:
        splits = split_of(numbers_of(people))
        for split in ("validation", "test"):
            count = int((splits == split).sum())
            if count < LEAST_IN_SPLIT:
                problems.append(
                    Problem(
                        PEOPLE, "", f"{count} people in the {split} split", f"at least {LEAST_IN_SPLIT}; add people"
                    )
                )
    return problems
