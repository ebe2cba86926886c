"""How does a table come from a file, as numbers, whatever is wrong with it?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.table.meds import from_meds
from twingym.scenarios.table.problems import NO_ROWS, Problem, shown
from twingym.scenarios.table.spec import Column, Source, TableSpec
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


@dataclass
class Sheet:
    """A table as it was read, and what is wrong with it so far.

    Attributes:
        source: Its declaration.
        frame: The cells.
        offset: What is added to a position to get the row's number in an editor.
        sha256: Of the file, or of the DataFrame's values.
        problems: What is wrong.
    """

    source: Source
    frame: pd.DataFrame
    offset: int
    sha256: str
    problems: list[Problem] = field(default_factory=list)

    def say(self, column: str, where: NDArray[Any] | None, found: str, allowed: str) -> None:
        """Note a problem in rows (a mask or positions), if there are any; ``found`` may hold ``{}`` for the values."""
        rows = NO_ROWS if where is None else np.flatnonzero(where) if where.dtype == bool else where
        if where is not None and len(rows) == 0:
            return
        if "{}" in found:
            cells = self.frame[column].iloc[rows[:1000]]
            found = found.format(shown(list(cells)))
        numbers = np.sort(rows.astype(np.int64)) + self.offset
        self.problems.append(Problem(self.source.name, column, found, allowed, numbers))

    def numbers(self, column: Column) -> Floats:
        """Return a declared column as numbers, NaN where the cell is empty; whatever cannot be is told."""
        import pandas as pd

        if column.counts and column.column == column.name:
            return np.ones(len(self.frame))  # it has no column: every row counts
        v, cells = column.variable, self.frame[column.column]
        if column.level:
            return np.asarray(cells.astype(object) == column.level, dtype=np.float64)
        if v.levels and not column.cuts:
            found, texts = np.full(len(cells), np.nan), cells.astype(object).to_numpy()
            codes, once = pd.factorize(texts)
            names = {level: float(k) for k, level in enumerate(v.levels)}
            known = np.array([names.get(str(value).strip(), np.nan) for value in once], dtype=np.float64)
            found[codes >= 0] = known[codes[codes >= 0]] if len(known) else np.nan
            self.say(column.column, (codes >= 0) & np.isnan(found), "{}", ", ".join(v.levels))
            return found
        numbers = self.plain(column.column, "a number" if v.levels else v.allowed)
        if column.cuts:
            return np.where(np.isfinite(numbers), np.searchsorted(column.cuts, numbers, side="right"), np.nan)
        with np.errstate(invalid="ignore"):
            outside = np.isfinite(numbers) & ((numbers < v.low) | (numbers > v.high))
            broken = np.isfinite(numbers) & (v.kind != "continuous") & (numbers != np.rint(numbers))
        if column.counts:
            return np.where(np.isnan(numbers), np.nan, 1.0)
        if column.combine != "sum":  # a sum's bounds hold for what is summed up
            self.say(column.column, outside, "{}", v.allowed)
        self.say(column.column, broken & ~outside, "{}", f"whole numbers from {v.low:g} to {v.high:g}")
        return np.where(outside | broken, np.nan, numbers)

    def plain(self, name: str, allowed: str) -> Floats:
        """Return a column as numbers; text and infinities are told."""
        cells, numbers = self.frame[name], self.plain_quietly(name)
        self.say(name, cells.notna().to_numpy() & np.isnan(numbers), "text, {}", allowed)
        self.say(name, np.isinf(numbers), "{}", allowed)
        return np.where(np.isinf(numbers), np.nan, numbers)

    def plain_quietly(self, name: str) -> Floats:
        """Return a column as numbers, NaN for whatever is none."""
        import pandas as pd

        return np.asarray(
            pd.to_numeric(self.frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan), np.float64
        )

    def times(self, name: str, unit: str) -> Floats:
        """Return a column of times, numbers in ``unit`` or dates; those as ``unit`` since 1970."""
        import pandas as pd

        form = self.source.dates
        if form is None:
            return self.plain(name, f"a time in {unit}, 0 or later")
        stamps = pd.to_datetime(self.frame[name].astype(str), format=form, errors="coerce")
        self.say(name, self.frame[name].notna().to_numpy() & stamps.isna().to_numpy(), "{}", f"a date as {form}")
        since = (stamps - pd.Timestamp("1970-01-01")).dt.total_seconds()
        return np.asarray(since.to_numpy(np.float64) / seconds_of(unit), dtype=np.float64)

    def instant(self, said: str | float, unit: str) -> float:
        """Return a time that the spec says, as :meth:`times` would.

        Raises:
            SpecError: If it is none.
        """
        import pandas as pd

        if self.source.dates is None:
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


def read_sheets(spec: TableSpec, frames: Mapping[str, pd.DataFrame]) -> list[Sheet]:
    """Read all tables of a spec, from their files or from ``frames`` by name.

    Raises:
        SpecError: If a file is missing or is no table.
        UnknownNameError: If a frame is given for a table that there is not.
    """
    names = [source.name for source in spec.sources]
    for name in frames:
        if name not in names:
            raise unknown("table", name, names)
    return [_read(spec, source, frames.get(source.name)) for source in spec.sources]


def _read(spec: TableSpec, source: Source, frame: pd.DataFrame | None) -> Sheet:
    import pandas as pd

    if frame is not None:
        digest = hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()
        return _sheet(spec, source, frame.reset_index(drop=True), 2, digest)
    path = spec.path(source)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix == ".parquet":
            found = pd.read_parquet(path)
        else:
            found = pd.read_csv(
                path,
                sep=r"\s+" if source.separator == "whitespace" else source.separator,
                header=None if source.header else 0,
                names=list(source.header) or None,
                # Numbers of people are names: 007 is not 7.
                dtype={source.person: str, **({source.time: str} if source.dates and source.time else {})},
                low_memory=False,
            )
    except ImportError as error:
        raise SpecError(
            f"{path} is Parquet, and pyarrow is not installed; `pip install pyarrow`, or use CSV."
        ) from error
    except (OSError, ValueError) as error:
        raise SpecError(f"{path} cannot be read as a table ({error}); allowed: CSV or Parquet.") from error
    return _sheet(spec, source, found, 1 if source.header else 2, digest)


def _sheet(spec: TableSpec, source: Source, frame: pd.DataFrame, offset: int, digest: str) -> Sheet:
    if source.format == "meds":
        frame = from_meds(
            frame, source, [c.column for c in spec.columns if c.recorded and c.table in ("", source.name)]
        )
    return Sheet(source, frame, offset, digest)
