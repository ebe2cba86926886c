"""Who is in the tables: under which number, who is there twice, and who lacks something?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.table.parsed import Codes, Parsed
from twingym.scenarios.table.problems import Problem
from twingym.scenarios.table.sheet import Sheet
from twingym.scenarios.table.spec import Column, TableSpec
from twingym.twins.cohort import MAX_ID, Ids, split_of
from twingym.twins.scales import Floats

LEAST_PEOPLE, LEAST_IN_SPLIT = 50, 3
SAME_BITS = 5.0  # beyond two logarithms of the number of people: less than 1 in 64 that chance makes two alike
PEOPLE = "people"
Names = NDArray[np.object_]


def find_people(sheets: Sequence[Sheet]) -> tuple[Names, list[Codes]]:
    """Return who there is, sorted, and whose row each is; rows without a person are told."""
    import pandas as pd

    texts = []
    for sheet in sheets:
        sheet.say_blank(sheet.source.person, sheet.blank(sheet.source.person), "whose row it is")
        texts.append(sheet.texts(sheet.source.person))
    codes, once = pd.factorize(np.concatenate(texts), sort=True)
    parts = np.split(codes, np.cumsum([len(text) for text in texts])[:-1])
    return np.asarray(once, dtype=object), [part.astype(np.intp) for part in parts]


def numbers_of(labels: Names) -> Ids:
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


def check_people(
    spec: TableSpec, labels: Names, parsed: Sequence[Parsed], homes: Mapping[str, Sequence[Column]]
) -> list[Problem]:
    """Tell people who are two, who are nowhere else, who lack a trait, and who are too few."""
    import pandas as pd

    plain = pd.Series(labels.astype(str)).str.casefold().str.replace(r"^0+(?=\d)", "", regex=True)
    alike = plain.duplicated(keep=False).to_numpy()
    timed = np.zeros(len(labels), dtype=bool)
    for p in parsed:
        person = p.sheet.source.person
        told = "names that differ in case or leading zeros only: {}"
        p.sheet.say(person, p.known & alike[p.person], told, "one name per person, who else is in two splits")
        _check_same_course(p, homes[p.sheet.source.name], len(labels))
        if p.sheet.source.time is not None:
            timed[p.person[p.known & ~p.sheet.may_be_untimed]] = True
    for p in parsed:
        nowhere = p.known & ~timed[p.person]
        found = "in no table with times: {}" if p.sheet.source.time is None else "no row with a time: {}"
        p.sheet.say(p.sheet.source.person, nowhere, found, "people with rows")
    for column in spec.of("trait"):
        tables = [p for p in parsed if column.name in p.values]
        has = np.zeros(len(labels), dtype=bool)
        for p in tables:
            said = np.isfinite(p.values[column.name]) | p.sheet.told(column.column)
            has[p.person[p.known & said]] = True
        for p in parsed if tables else ():  # a column that is not there was told
            if p.sheet.source.time is not None:
                lacking = p.known & (timed & ~has)[p.person]
                p.sheet.say(column.column, lacking, f"trait {column.name!r} not known", "a value for each person")
    return _too_few(labels[timed])


def _check_same_course(p: Parsed, columns: Sequence[Column], people: int) -> None:
    """Tell people who have the very values of somebody else: one person under two names may come into two splits.

    When it was does not count, so that a copy may be shifted. What is compared must be more than chance repeats: each
    value of a person counts as many bits as it is rare in its column, once. So subscribers who all pay the same are
    no copies.
    """
    import pandas as pd

    shown = [c for c in columns if c.role in ("variable", "intervention") or c.first]
    cells = {c.column: _cells(p, c) for c in shown if c.column in p.sheet.frame.columns}
    if not cells:
        return
    known = p.known
    rows = pd.util.hash_pandas_object(pd.DataFrame(cells), index=False).to_numpy()
    sums, bits = np.zeros(people, dtype=np.uint64), np.zeros(people)
    with np.errstate(over="ignore"):
        np.add.at(sums, p.person[known], rows[known])
    for values in cells.values():
        there = known & np.isfinite(values)
        codes, once = pd.factorize(values[there])
        rare = -np.log2(np.bincount(codes, minlength=len(once)) / max(len(codes), 1))
        pairs = pd.DataFrame({"person": p.person[there], "code": codes}).drop_duplicates()
        np.add.at(bits, pairs["person"].to_numpy(), rare[pairs["code"].to_numpy()])
    enough = np.flatnonzero(bits >= 2.0 * np.log2(people) + SAME_BITS)
    count = np.bincount(p.person[known], minlength=people)
    same = np.zeros(people, dtype=bool)
    same[enough] = pd.DataFrame({"sum": sums[enough], "count": count[enough]}).duplicated(keep=False).to_numpy()
    p.sheet.say(
        p.sheet.source.person, known & same[p.person], "the same course under several names: {}", "each person once"
    )


def _cells(p: Parsed, column: Column) -> Floats:
    """Return the cells of a column as they stand there: amounts before they are parted into levels."""
    levels = column.variable.levels and not column.cuts
    return p.values[column.name] if levels else p.sheet.plain_quietly(column.column)


def _too_few(people: Names) -> list[Problem]:
    if len(people) < LEAST_PEOPLE:
        return [Problem(PEOPLE, "", f"{len(people)} people", f"at least {LEAST_PEOPLE}, to fit and to judge")]
    splits, problems = split_of(numbers_of(people)), []
    for split in ("validation", "test"):
        count = int((splits == split).sum())
        if count < LEAST_IN_SPLIT:
            allowed = f"at least {LEAST_IN_SPLIT}; add people"
            problems.append(Problem(PEOPLE, "", f"{count} people in the {split} split", allowed))
    return problems
