"""How is a quantity shown in another unit? Inside, everything keeps the unit that it is declared in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from twingym.twins.errors import unknown
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

# Amount in the second unit per amount in the first; mg/dL and mmol/L are those of glucose (molar mass taken as 180 g).
FACTORS = {("mg/dL", "mmol/L"): 1.0 / 18.0, ("min", "h"): 1.0 / 60.0, ("weeks", "days"): 7.0}


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
    both_ways = {**FACTORS, **{(b, a): 1.0 / f for (a, b), f in FACTORS.items()}}
    return {unit: 1.0, **{b: f for (a, b), f in both_ways.items() if a == unit}}


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
