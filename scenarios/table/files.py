"""How does a table come from a file, or from a DataFrame, with its row numbers and a hash?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from twingym.scenarios.table.meds import CODE, read_codes
from twingym.scenarios.table.sheet import Sheet
from twingym.scenarios.table.spec import Source, TableSpec
from twingym.twins.errors import SpecError, unknown

if TYPE_CHECKING:
    import pandas as pd


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
        try:
            digest = hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()
        except TypeError as error:
            said = f"{source.name}: a cell is no single value ({error})"
            raise SpecError(f"{said}; allowed: numbers, texts and dates.") from error
        return _sheet(spec, source, frame, 2, digest)
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
                dtype=dict.fromkeys(_texts(spec, source), str),
                # None or NA may be a level; where it is not, a sheet takes it for missing.
                keep_default_na=False,
                na_values=[""],
                low_memory=False,
            )
    except ImportError as error:
        raise SpecError(
            f"{path} is Parquet, and pyarrow is not installed; `pip install pyarrow`, or use CSV."
        ) from error
    except (OSError, ValueError) as error:
        raise SpecError(f"{path} cannot be read as a table ({error}); allowed: CSV or Parquet.") from error
    return _sheet(spec, source, found, 1 if source.header else 2, digest)


def _texts(spec: TableSpec, source: Source) -> set[str]:
    """Return the columns of a CSV file that are no numbers, whatever they look like: person 007 is not 7."""
    names = {c.column for c in spec.columns if c.level or (c.variable.levels and not c.cuts)}
    names |= {source.person, CODE} if source.format == "meds" else {source.person}
    if source.dates:
        names |= {name for name in (source.time, source.until) if isinstance(name, str)}
    return names


def _sheet(spec: TableSpec, source: Source, frame: pd.DataFrame, offset: int, digest: str) -> Sheet:
    twice = frame.columns.duplicated()
    sheet = Sheet(source, frame.loc[:, ~twice].reset_index(drop=True), offset, digest)
    for name in dict.fromkeys(frame.columns[twice]):
        sheet.say(str(name), None, f"{int((frame.columns == name).sum())} columns of this name", "one; leave one")
    if source.format == "meds":
        read_codes(sheet, [c for c in spec.columns if c.recorded and c.table in ("", source.name)])
    return sheet
