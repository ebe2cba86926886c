"""How does a table become numbers, whatever is wrong with it?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.table.problems import NO_ROWS, Problem, shown
from twingym.scenarios.table.spec import Column, Source
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

SECONDS = {
    "second": 1.0,
    "minute": 60.0,
    "min": 60.0,
    "hour": 3600.0,
    "h": 3600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_629_800.0,
    "year": 31_557_600.0,
}
# Words for a missing cell, in any case, unless they are the name of a level: what R, pandas and Excel write.
MISSING = {"", "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "null", "none", "1.#ind", "-1.#ind"}
MISSING |= {"1.#qnan", "-1.#qnan"}
_WHOLE = re.compile(r"(?<=\d)\.0+$")  # pandas writes 2.0 for a 2 in a column with an empty cell
Mask = NDArray[np.bool_]


@dataclass
class Sheet:
    """A table as it was read, and what is wrong with it so far.

    Attributes:
        source: Its declaration.
        frame: The cells; its index is the position of the row in the file.
        offset: What is added to that position to get the row's number in an editor.
        sha256: Of the file, or of the DataFrame's values.
        problems: What is wrong.
        static: Rows of traits, which may be without a time and do not set time 0, (R,); None for none.
    """

    source: Source
    frame: pd.DataFrame
    offset: int
    sha256: str
    problems: list[Problem] = field(default_factory=list)
    static: Mask | None = None

    @property
    def dated(self) -> bool:
        """Whether times are dates: texts in a declared format, or timestamps."""
        time = self.source.time
        stamps = time in self.frame.columns and self.frame[time].dtype.kind == "M"
        return self.source.dates is not None or stamps

    @property
    def until_column(self) -> str | None:
        """The column that says when follow-up ended, whether it is there or not; None where it is a time or a date."""
        import pandas as pd

        until = self.source.until
        if not isinstance(until, str):
            return None
        instant = until not in self.frame.columns and self.dated and pd.notna(pd.to_datetime(until, errors="coerce"))
        return None if instant else until

    @property
    def may_be_untimed(self) -> Mask:
        """Rows that need no time, (R,)."""
        return np.zeros(len(self.frame), dtype=bool) if self.static is None else self.static

    def say(self, column: str, where: NDArray[Any] | None, found: str, allowed: str) -> None:
        """Note a problem in rows (a mask or positions), if there are any; ``found`` may hold ``{}`` for the values."""
        rows = NO_ROWS if where is None else np.flatnonzero(where) if where.dtype == bool else where
        if where is not None and len(rows) == 0:
            return
        if "{}" in found:
            cells = self.frame[column].iloc[rows[:1000]]
            found = found.replace("{}", shown(list(cells)))
        numbers = np.sort(self.frame.index.to_numpy()[rows].astype(np.int64)) + self.offset
        self.problems.append(Problem(self.source.name, column, found, allowed, numbers))

    def say_blank(self, name: str, where: Mask, allowed: str) -> None:
        """Note cells of ``where`` that are empty or hold a word for it."""
        rows = np.flatnonzero(where & self.blank(name))
        cells = self.frame[name].iloc[rows]
        words = (cells.notna() & (cells.astype(str).str.strip() != "")).to_numpy(bool)
        self.say(name, rows[~words], "empty", allowed)
        self.say(name, rows[words], "missing, {}", allowed)

    def told(self, column: str) -> Mask:
        """Return the rows that a problem of this column is about, (R,)."""
        numbers = [p.rows - self.offset for p in self.problems if p.column == column]
        return np.isin(self.frame.index.to_numpy(), np.concatenate(numbers) if numbers else NO_ROWS)

    # -- cells -----------------------------------------------------------------------------------------------

    def blank(self, name: str) -> Mask:
        """Return where a column is empty, or holds a word for it, (R,)."""
        if self.frame[name].dtype.kind in "biufmM":
            return self.frame[name].isna().to_numpy()
        codes, texts = self._factorized(name)
        return np.array([*(text.casefold() in MISSING for text in texts), True], dtype=bool)[codes]

    def texts(self, name: str) -> NDArray[np.object_]:
        """Return a column as texts, whole numbers without a point, None where it is blank, (R,)."""
        codes, texts = self._factorized(name)
        if self.frame[name].dtype.kind == "f":
            texts = [_WHOLE.sub("", text) for text in texts]
        known = [None if text.casefold() in MISSING else text for text in texts]
        return np.array([*known, None], dtype=object)[codes]

    def _factorized(self, name: str) -> tuple[NDArray[np.intp], list[str]]:
        """Return the number of each cell's value, -1 if there is none, and the values as texts."""
        import pandas as pd

        codes, once = pd.factorize(self.frame[name])
        return codes, [str(value).strip() for value in once]

    def places(self, name: str, levels: Sequence[str]) -> Floats:
        """Return the number of each cell's level, NaN for none; 2.0 is the level 2, if there is no 2.0."""
        codes, texts = self._factorized(name)
        numbers = {level: float(k) for k, level in enumerate(levels)}
        known = [numbers.get(text, numbers.get(_WHOLE.sub("", text), np.nan)) for text in texts]
        return np.array([*known, np.nan], dtype=np.float64)[codes]

    def numbers(self, column: Column) -> Floats:
        """Return a declared column as numbers, NaN where the cell is empty; whatever cannot be is told."""
        if column.counts and column.column == column.name:
            return np.ones(len(self.frame))  # it has no column: every row counts
        v = column.variable
        if column.level:
            happened = np.asarray(self.places(column.column, [column.level]) == 0.0)
            if not happened.any() and len(happened):
                there = shown(list(self.frame[column.column].dropna().unique()))
                self.say(
                    column.column, None, f"nowhere {column.level!r}, but {there}", "some; else leave the event out"
                )
            return np.asarray(happened, dtype=np.float64)
        if v.levels and not column.cuts:
            found = self.places(column.column, v.levels)
            self.say(column.column, np.isnan(found) & ~self.blank(column.column), "{}", ", ".join(v.levels))
            return found
        numbers = self.plain(column.column, "a number" if v.levels else v.allowed)
        if column.cuts:
            return np.where(np.isfinite(numbers), np.searchsorted(column.cuts, numbers, side="right"), np.nan)
        if column.counts:
            return np.where(np.isnan(numbers), np.nan, 1.0)
        with np.errstate(invalid="ignore"):
            outside = np.isfinite(numbers) & ((numbers < v.low) | (numbers > v.high))
            broken = np.isfinite(numbers) & (v.kind != "continuous") & (numbers != np.rint(numbers))
        self.say(column.column, outside, "{}", v.allowed)
        self.say(column.column, broken & ~outside, "{}", f"whole numbers from {v.low:g} to {v.high:g}")
        return np.where(outside | broken, np.nan, numbers)

    def plain(self, name: str, allowed: str) -> Floats:
        """Return a column as numbers; text and infinities are told."""
        numbers, new = self.plain_quietly(name), ~self.told(name)
        self.say(name, new & np.isnan(numbers) & ~self.blank(name), "text, {}", allowed)
        self.say(name, new & np.isinf(numbers), "{}", allowed)
        return np.where(np.isinf(numbers), np.nan, numbers)

    def plain_quietly(self, name: str) -> Floats:
        """Return a column as numbers, NaN for whatever is none, as dates are."""
        import pandas as pd

        cells = self.frame[name]
        if cells.dtype.kind in "mM":
            return np.full(len(cells), np.nan)
        return np.asarray(pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan), np.float64)

    # -- times -----------------------------------------------------------------------------------------------

    def times(self, name: str, unit: str) -> Floats:
        """Return a column of times, numbers in ``unit`` or dates; those as ``unit`` since 1970."""
        import pandas as pd

        form, cells = self.source.dates, self.frame[name]
        if not self.dated:
            return self.plain(name, f"a number of {unit}; for dates say dates = '%Y-%m-%d', or what their format is")
        if cells.dtype.kind == "M":
            stamps = pd.to_datetime(cells, utc=True).dt.tz_localize(None)
        else:
            stamps = pd.to_datetime(pd.Series(self.texts(name), dtype=object), format=form, errors="coerce")
            said = f"a date as {form}" if form else f"a timestamp, as in {self.source.time}"
            self.say(name, stamps.isna().to_numpy() & ~self.blank(name), "{}", said)
        since = (stamps - pd.Timestamp("1970-01-01")).dt.total_seconds()
        return np.asarray(since.to_numpy(np.float64) / seconds_of(unit), dtype=np.float64)

    def instant(self, said: str | float, unit: str) -> float:
        """Return a time that the spec says, as :meth:`times` would.

        Raises:
            SpecError: If it is none.
        """
        import pandas as pd

        if not self.dated:
            if not isinstance(said, int | float):
                raise SpecError(f"{self.source.name}: {said!r} is no time; allowed: a number of {unit}.")
            return float(said)
        stamp = pd.to_datetime(str(said), errors="coerce")
        if pd.isna(stamp):
            raise SpecError(f"{self.source.name}: {said!r} is no date; allowed: such as 1997-09-30.")
        return float((stamp - pd.Timestamp("1970-01-01")).total_seconds()) / seconds_of(unit)


def seconds_of(unit: str) -> float:
    """Return the length of a unit of time.

    Raises:
        UnknownNameError: If it is none of those that dates can be turned into.
    """
    name = unit if unit in SECONDS else unit.removesuffix("s")
    if name not in SECONDS:
        raise unknown("unit of time", unit, SECONDS, "Dates need one of these as dt_unit.")
    return SECONDS[name]
