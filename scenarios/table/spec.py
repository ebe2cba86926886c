"""What does a user say about their own table: which column is what, in which unit, and what is wanted?

A spec is a TOML file, or the same nested mapping in Python. ``docs/table.md`` walks through one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, Literal

from twingym.scenarios.intervention import Intervention
from twingym.twins.errors import SpecError, unknown
from twingym.twins.variables import Variable

Role = Literal["trait", "variable", "event", "intervention"]
Combine = Literal["last", "mean", "sum", "rows", "times"]
Decided = Literal["each step", "at entry"]
Section = Mapping[str, Any]

COMBINE: tuple[Combine, ...] = ("last", "mean", "sum", "rows", "times")
_OF_VARIABLE = {f.name for f in dataclass_fields(Variable)} - {"name"}
_OF_INTERVENTION = {f.name for f in dataclass_fields(Intervention)} - {"name"}
_OF_COLUMN = {
    "column",
    "table",
    "combine",
    "units",
    "cuts",
    "first",
    "level",
    "decided",
    "recorded",
    "between",
    "assumed",
}


@dataclass(frozen=True)
class Source:
    """One table.

    Attributes:
        name: How problems and provenance call it.
        file: CSV or Parquet; None if it is given as a DataFrame.
        person: Column of the person.
        time: Column of the time, in the scenario's unit or as a date; None for a table of traits, one row per person.
        dates: Format of dates, such as ``%Y-%m-%d``; None where times are numbers, or timestamps already (not text).
            Time 0 of dates is a person's first row.
        rows: ``visits``: what is not measured at a visit is missing. ``events``: a log of what happened, where no row
            says that nothing did.
        until: When people were last known to go on: a time, a date, or the column that holds it; None for their last
            row.
        latest: Latest time there may be since time 0, in the scenario's unit; None where a time may be no more than
            many times those of anybody else.
        lag: How long after its time a row becomes known, in the scenario's unit.
        ignore: Columns that are not used.
        repeats: For ``events``: whether rows that are alike in every column are as many events, not one told twice.
        header: Names of the columns, where the file has none.
        separator: Between the columns of a CSV file; ``whitespace`` for any of it.
        format: ``columns``, or ``meds``: one row per measurement, with a code.
    """

    name: str
    person: str
    file: str | None = None
    time: str | None = None
    dates: str | None = None
    rows: Literal["visits", "events"] = "visits"
    until: str | float | None = None
    latest: float | None = None
    lag: float = 0.0
    ignore: tuple[str, ...] = ()
    repeats: bool = False
    header: tuple[str, ...] = ()
    separator: str = ","
    format: Literal["columns", "meds"] = "columns"


@dataclass(frozen=True)
class Column:
    """One declared quantity and where it stands.

    Attributes:
        variable: Its declaration.
        role: What it is to the scenario.
        column: Name in the table.
        table: Name of the source; empty for the only one that has the column.
        combine: What is made of several rows within one step: the ``last`` value, their ``mean`` or ``sum``, or the
            number of ``rows``, or of different ``times`` (two purchases of one day are one).
        units: Other units that may have slipped in, by name: how many of them make one of the declared unit.
        cuts: Where a number is parted into the levels of a trait.
        first: Whether a trait is the value in the person's first row, instead of one that never changes.
        level: For events: the value of the column that says it happened, at the end of the person's follow-up.
        decided: For interventions: at each step, or once, at entry.
        recorded: For interventions: whether the table has it. If not, nobody ever got anything but the lowest.
        between: For interventions: whether an amount holds until the next row says otherwise, or for its step alone.
        assumed: For interventions that the table cannot tell of: by level, what it is assumed to add to the log rate of
            a count.
    """

    variable: Variable
    role: Role
    column: str
    table: str = ""
    combine: Combine = "last"
    units: Mapping[str, float] = field(default_factory=dict)
    cuts: tuple[float, ...] = ()
    first: bool = False
    level: str = ""
    decided: Decided = "each step"
    recorded: bool = True
    between: Literal["held", "nothing"] = "held"
    assumed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in the scenario."""
        return self.variable.name

    @property
    def counts(self) -> bool:
        """Whether rows are counted, whatever stands in them."""
        return self.combine in ("rows", "times")


@dataclass(frozen=True)
class TableSpec:
    """A whole spec, read but not yet compared with any table.

    Attributes:
        place: The TOML file, from which relative paths count; None for a mapping.
        sources: The tables.
        columns: Traits, variables, events and interventions, in declared order.
        interventions: Their declarations.
        about: All that says nothing about tables, by section; read by ``table/scenario.py``.
    """

    place: Path | None
    sources: tuple[Source, ...]
    columns: tuple[Column, ...]
    interventions: tuple[Intervention, ...]
    about: Section

    @property
    def dt(self) -> float:
        """Length of a step, in :attr:`dt_unit`."""
        return float(self.about["dt"])

    @property
    def dt_unit(self) -> str:
        """Unit of time."""
        return str(self.about["dt_unit"])

    def of(self, *roles: Role) -> tuple[Column, ...]:
        """Return the columns with one of these roles."""
        return tuple(c for c in self.columns if c.role in roles)

    def path(self, source: Source) -> Path:
        """Return where a source lies: environment variables are filled in, relative paths count from the spec.

        Raises:
            SpecError: If it names no file, or a variable that is not set.
        """
        if source.file is None:
            raise SpecError(f"{source.name}: file is missing; name it, or give from_table a DataFrame.")
        text = os.path.expandvars(source.file)
        if "$" in text:
            raise SpecError(
                f"{source.name}: file is {source.file!r}, and that environment variable is not set. Set it to the "
                "folder of your data."
            )
        return (self.place.parent if self.place else Path()) / text


SECTIONS = ("table", "tables", "traits", "variables", "events", "interventions")
REQUIRED = ("id", "title", "kind", "dt", "dt_unit", "horizon")


def read_spec(spec: Path | str | Section) -> TableSpec:
    """Read a spec from a TOML file or a mapping.

    Raises:
        SpecError: Naming the file, the section and the key.
        UnknownNameError: If a key is not one of those there are; suggests the nearest.
    """
    place = None
    if not isinstance(spec, Mapping):
        place = Path(spec).resolve()
        spec = _toml(place)
    missing = [key for key in REQUIRED if key not in spec]
    if missing:
        raise SpecError(f"table spec {place or ''} lacks {', '.join(missing)}; write them above the first section.")
    if ("table" in spec) == ("tables" in spec):
        raise SpecError("a table spec has one section [table], or [tables.NAME] for each of several; allowed: one.")
    named = spec["tables"] if "tables" in spec else {"table": spec["table"]}
    sources = tuple(_source(name, section) for name, section in named.items())
    intermittent = {s.name: s.rows == "visits" for s in sources}
    columns, interventions = [], []
    for role, section in (("trait", "traits"), ("variable", "variables"), ("event", "events")):
        columns += [_column(role, name, keys, intermittent) for name, keys in spec.get(section, {}).items()]
    for name, keys in spec.get("interventions", {}).items():
        columns.append(_column("intervention", name, keys, intermittent))
        interventions.append(Intervention(name, **_only(keys, _OF_INTERVENTION)))
    about = {key: value for key, value in spec.items() if key not in SECTIONS}
    return TableSpec(place, sources, tuple(columns), tuple(interventions), about)


def _toml(place: Path, met: tuple[Path, ...] = ()) -> Section:
    """Read a TOML file and, beneath it, the one that it ``extends``."""
    try:
        found = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"table spec {place} cannot be read ({error}); allowed: a TOML file.") from error
    below = found.pop("extends", None)
    if below is None:
        return found
    path = place.parent / str(below)
    if path in met:
        raise SpecError(f"table spec {place}: extends leads back to {path}; allowed: a file that does not.")
    return _merged(_toml(path, (*met, path)), found)


def _merged(below: Section, above: Section) -> Section:
    both = {
        key: _merged(below[key], value) if isinstance(below.get(key), Mapping) and isinstance(value, Mapping) else value
        for key, value in above.items()
    }
    return {**below, **both}


def _source(name: str, section: Section) -> Source:
    allowed = [f.name for f in dataclass_fields(Source) if f.name != "name"]
    check_keys(f"tables.{name}", section, allowed)
    if "person" not in section:
        raise SpecError(f"tables.{name}: person is missing; name the column that says whose row it is.")
    found = Source(name, **_tuples(section))
    for key, value, choices in (
        ("rows", found.rows, ("visits", "events")),
        ("format", found.format, ("columns", "meds")),
    ):
        if value not in choices:
            raise SpecError(f"tables.{name}: {key} is {value!r}; allowed: {', '.join(choices)}.")
    if found.lag < 0.0:
        raise SpecError(f"tables.{name}: lag is {found.lag!r}; allowed: 0 or more, in the scenario's unit of time.")
    if found.time is None and (found.until is not None or found.latest is not None or found.lag or found.dates):
        raise SpecError(f"tables.{name}: time is missing, but until, latest, lag or dates is given; name its column.")
    return found


def _column(role: Any, name: str, keys: Section, intermittent: Mapping[str, bool]) -> Column:
    where = f"{role}s.{name}"
    check_keys(where, keys, _OF_COLUMN | (_OF_INTERVENTION if role == "intervention" else _OF_VARIABLE))
    for level in (*keys.get("levels", ()), keys.get("level", "")):
        if not isinstance(level, str):
            raise SpecError(f"{where}: {level!r} is a level; allowed: text, so write {str(level)!r}.")
    placed = _only(keys, _OF_COLUMN)
    declared = _only(keys, _OF_VARIABLE)
    if role == "intervention":
        levels = declared.get("levels", ())
        variable = Variable(
            name,
            declared.get("unit", ""),
            0.0 if levels else declared.get("low", 0.0),
            1.0 if levels else declared.get("high", 1.0),
            kind="categorical" if levels else "continuous",
            levels=levels,
        )
    elif role == "event":
        variable = Variable(name, kind="event", **declared)
    else:
        if "levels" in declared:
            declared.setdefault("kind", "categorical")
        visits = intermittent.get(placed.get("table", ""), all(intermittent.values()))
        if role == "variable" and visits and placed.get("combine", "last") in ("last", "mean"):
            declared.setdefault("intermittent", True)
        variable = Variable(name, **declared)
    found = Column(variable, role, placed.pop("column", name), **placed)
    if found.combine not in COMBINE:
        raise SpecError(f"{where}: combine is {found.combine!r}; allowed: {', '.join(COMBINE)}.")
    if found.combine not in ("last", "mean") and variable.low > 0.0:
        raise SpecError(f"{where}: low is {variable.low:g}; allowed: 0 or less, for a step without a row counts 0.")
    if found.decided not in ("each step", "at entry"):
        raise SpecError(f"{where}: decided is {found.decided!r}; allowed: each step, at entry.")
    if found.cuts and len(found.cuts) != len(variable.levels) - 1:
        raise SpecError(f"{where}: cuts are {found.cuts}; allowed: one fewer than there are levels, rising.")
    if role == "event" and not found.level and "column" not in keys:
        raise SpecError(f"{where}: column is missing; name the column, and the level of it that says it happened.")
    return found


def check_keys(where: str, section: object, allowed: Any) -> None:
    """Refuse a section that is none, or a key that is not one of ``allowed``.

    Raises:
        SpecError: If it is no section.
        UnknownNameError: Suggests the nearest key.
    """
    if not isinstance(section, Mapping):
        raise SpecError(f"{where} is {section!r}; allowed: a section with keys {', '.join(sorted(allowed))}.")
    for key in section:
        if key not in allowed:
            raise unknown(f"key in {where}", str(key), allowed)


def _only(keys: Section, names: set[str]) -> dict[str, Any]:
    return _tuples({key: value for key, value in keys.items() if key in names})


def _tuples(keys: Section) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
