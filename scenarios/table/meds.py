"""How is a table of MEDS events read: one row per measurement, with its code?

The schema (Medical Event Data Standard, MEDS 0.4): ``subject_id``, ``time`` (empty for what never changes), ``code``,
``numeric_value`` (may be empty), and whatever else, which is not read. A spec names codes as columns; a code that ends
with ``//`` stands for all that begin so, and what follows it is the level (``GENDER//F``). Rows of other codes are not
read. A code that has a number anywhere is missing where it has none; one that never has a number counts as 1: it
happened.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twingym.scenarios.table.sheet import Sheet
from twingym.scenarios.table.spec import Column
from twingym.twins.errors import SpecError

CODE, VALUE, PREFIX = "code", "numeric_value", "//"


def read_codes(sheet: Sheet, columns: Sequence[Column]) -> None:
    """Give each named code of a sheet a column of its own, and leave out rows of others; wrong rows are told.

    Raises:
        SpecError: If it is no MEDS table.
    """
    import pandas as pd

    frame, source = sheet.frame, sheet.source
    missing = [name for name in (source.person, source.time, CODE, VALUE) if name and name not in frame.columns]
    if missing:
        raise SpecError(f"{source.name}: a MEDS table has a column {missing[0]!r}; there are {list(frame.columns)}.")
    blank, empty, number = sheet.blank(CODE), sheet.blank(VALUE), sheet.plain_quietly(VALUE)
    codes, once = pd.factorize(sheet.texts(CODE))
    found = {name: frame[name] for name in (source.person, source.time, CODE) if name}
    named, moving = np.zeros((2, len(frame)), dtype=bool)
    for name in dict.fromkeys(c.column for c in columns):
        prefix = name.endswith(PREFIX)
        fits = [text.startswith(name) if prefix else text == name for text in once]
        here = np.array([*fits, False], dtype=bool)[codes]
        if not here.any():
            continue
        if prefix:
            levels = np.array([*(text.removeprefix(name) for text in once), None], dtype=object)
            found[name] = pd.Series(levels[codes]).where(here)
        else:
            found[name] = pd.Series(np.where(here, number if (here & ~empty).any() else 1.0, np.nan))
        named |= here
        if any(c.column == name and c.role != "trait" for c in columns):
            moving |= here
    sheet.say_blank(CODE, blank, "a code")
    sheet.say(VALUE, named & ~empty & np.isnan(number), "text, {}", "a number, or empty")
    kept = named | blank
    sheet.frame, sheet.static = pd.DataFrame(found)[kept], ~moving[kept]
