"""How is a table of MEDS events read: one row per measurement, with its code?

The schema (Medical Event Data Standard, MEDS 0.4): ``subject_id``, ``time`` (empty for what never changes), ``code``,
``numeric_value`` (may be empty), and whatever else, which is not read. A spec names codes as columns; a code that ends
with ``//`` stands for all that begin so, and what follows it is the level (``GENDER//F``). A code without a number
counts as 1: it happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from twingym.scenarios.table.spec import Source
from twingym.twins.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

CODE, VALUE, PREFIX = "code", "numeric_value", "//"


def from_meds(frame: pd.DataFrame, source: Source, names: Iterable[str]) -> pd.DataFrame:
    """Give each named code a column of its own; rows and their order stay.

    Raises:
        SpecError: If it is no MEDS table.
    """
    import pandas as pd

    missing = [name for name in (source.person, source.time, CODE, VALUE) if name and name not in frame.columns]
    if missing:
        raise SpecError(f"{source.name}: a MEDS table has a column {missing[0]!r}; there are {list(frame.columns)}.")
    codes, once = pd.factorize(frame[CODE].astype(object))
    text = [str(code) for code in once]
    number = pd.to_numeric(frame[VALUE], errors="coerce").fillna(1.0)
    found = {CODE: frame[CODE], source.person: frame[source.person]}
    if source.time:
        found[source.time] = frame[source.time]
    for name in names:
        if name.endswith(PREFIX):
            level = np.array([code.removeprefix(name) if code.startswith(name) else None for code in text], object)
            found[name] = pd.Series(level[codes], dtype=object)
        elif name in text:
            found[name] = number.where(codes == text.index(name))
    return pd.DataFrame(found)
