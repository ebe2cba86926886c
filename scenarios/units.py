"""Which units measure the same, and how is a quantity shown in another? Inside, everything keeps its declared unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from twingym.twins.errors import unknown
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

# How large each unit is, in the first of its line; a line for each quantity.
QUANTITIES: tuple[Mapping[str, float], ...] = (
    {"ug": 1.0, "mg": 1e3, "g": 1e6, "kg": 1e9, "lb": 453.59237e6},
    {"mm": 1.0, "cm": 10.0, "in": 25.4, "m": 1e3},
    {"mg/L": 1.0, "mg/dL": 10.0, "g/L": 1e3, "g/dL": 1e4},
    {"mmHg": 1.0, "kPa": 7.50062},
    {"min": 1.0, "h": 60.0, "hours": 60.0, "days": 1440.0, "weeks": 10_080.0, "months": 43_830.0, "years": 525_960.0},
    {"%": 1.0, "share": 100.0},
    {"cents": 1.0, "dollars": 100.0},
)
GLUCOSE = {"mg/dL": 1.0, "mmol/L": 18.0}  # its molar mass taken as 180 g; of another substance there are more or fewer


def factor(unit: str, wanted: str) -> float:
    """Return what an amount in ``unit`` is multiplied by to be in ``wanted``.

    Raises:
        UnknownNameError: If ``unit`` cannot be shown in ``wanted``.
    """
    known = factors_from(unit)
    if wanted not in known:
        raise unknown(f"unit for an amount in {unit!r}:", wanted, known)
    return known[wanted]


def factors_from(unit: str) -> dict[str, float]:
    """Return the units that an amount in ``unit`` can be shown in, and what it is multiplied by."""
    glucose = {other: GLUCOSE[unit] / size for other, size in GLUCOSE.items()} if unit in GLUCOSE else {}
    return {unit: 1.0, **glucose, **other_units(unit)}


def other_units(unit: str) -> dict[str, float]:
    """Return the other units of whatever is measured in ``unit``, and how many of each make one of it."""
    line = next((line for line in QUANTITIES if unit in line), {})
    return {other: line[unit] / size for other, size in line.items() if other != unit}


def convert(amount: Floats | float, unit: str, wanted: str) -> Floats:
    """Return amounts, any shape, in ``wanted`` instead of ``unit``.

    Raises:
        UnknownNameError: If that is not possible.
    """
    return np.asarray(np.asarray(amount, dtype=np.float64) * factor(unit, wanted))


def in_unit(variable: Variable, wanted: str) -> Variable:
    """Return the declaration in another unit, bounds and all: for axes and tables.

    Raises:
        UnknownNameError: If that is not possible.
    """
    by = factor(variable.unit, wanted)

    def times(value: float | None) -> float | None:
        return None if value is None else value * by

    # A change is in the unit of the variable on a linear scale only.
    change = times(variable.change) if variable.scale == "linear" else variable.change
    return replace(
        variable, unit=wanted, low=variable.low * by, high=variable.high * by, change=change, knee=times(variable.knee)
    )
