"""Are two units mixed in one column: two heaps of values whose medians differ by a known factor?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twingym.twins.scales import Floats

LEAST_SHARE, LEAST_VALUES = 0.01, 5  # of the smaller heap
NEAR = 0.15  # of a factor, in its logarithm: medians of small heaps are not known better
VALLEY = 0.1  # of the smaller heap, at most, in the middle third between the medians
# How many of the other unit make one of the declared. Substances' own (mmol/L of glucose) are declared by the user.
KNOWN: Mapping[str, Mapping[str, float]] = {
    "kg": {"lb": 2.2046, "g": 1000.0},
    "g": {"kg": 0.001, "mg": 1000.0},
    "mg": {"g": 0.001, "ug": 1000.0},
    "cm": {"in": 0.3937, "m": 0.01, "mm": 10.0},
    "m": {"cm": 100.0, "in": 39.37},
    "g/dL": {"g/L": 10.0},
    "g/L": {"g/dL": 0.1},
    "mg/dL": {"mg/L": 10.0, "g/L": 0.01},
    "mg/L": {"mg/dL": 0.1},
    "mmHg": {"kPa": 0.1333},
    "kPa": {"mmHg": 7.501},
    "days": {"hours": 24.0, "weeks": 1 / 7},
    "years": {"months": 12.0, "days": 365.25},
    "months": {"years": 1 / 12},
    "share": {"%": 100.0},
    "%": {"share": 0.01},
    "dollars": {"cents": 100.0},
}


class Heap(NamedTuple):
    """Values that seem to be in another unit: its name, and which they are, a mask over those that were given."""

    unit: str
    factor: float
    rows: NDArray[np.bool_]


def mixed(values: Floats, unit: str, others: Mapping[str, float]) -> Heap | None:
    """Return the heap in another unit, if there is one.

    Logarithms are parted half a factor beside their median (few values in the other unit) or where two heaps fit best
    (as many). They are two heaps where hardly anything lies half-way, and in two units where medians differ by the
    factor: a long tail has no valley.

    Args:
        values: Of one column, (N,); only positive ones count.
        unit: The declared one.
        others: Further units by name, beside :data:`KNOWN`: how many make one of the declared.
    """
    factors = {**KNOWN.get(unit, {}), **others}
    there = np.isfinite(values) & (values > 0.0)
    logs = np.sort(np.log(values[there]))
    least = max(LEAST_VALUES, math.ceil(LEAST_SHARE * len(logs)))
    if not factors or len(logs) < 2 * least:
        return None
    middle, halves = float(np.median(logs)), _two_heaps(logs, least)
    best: tuple[float, Heap] | None = None
    for name, factor in factors.items():
        wanted = abs(math.log(factor))
        for edge in (halves, middle + wanted / 2, middle - wanted / 2):
            cut = int(np.searchsorted(logs, edge))
            smaller = min(cut, len(logs) - cut)
            if smaller < least:
                continue
            low, high = float(np.median(logs[:cut])), float(np.median(logs[cut:]))
            third = (high - low) / 3.0
            valley = np.subtract(*np.searchsorted(logs, (high - third, low + third)))
            off = abs(high - low - wanted)
            if off <= NEAR and valley <= VALLEY * smaller and (best is None or off < best[0]):
                # What is in the smaller unit has the larger numbers.
                larger = there & (values > math.exp(edge))
                best = off, Heap(name, factor, larger if factor > 1.0 else there & ~larger)
    return best[1] if best else None


def _two_heaps(logs: Floats, least: int) -> float:
    """Return where sorted logarithms (N,) are parted into two heaps of least squares."""
    count = np.arange(1, len(logs))  # in the lower heap
    sums, squares = np.cumsum(logs)[:-1], np.cumsum(logs**2)[:-1]
    total, rest = logs.sum() - sums, len(logs) - count
    within = (squares - sums**2 / count) + ((logs**2).sum() - squares - total**2 / rest)
    cut = int(np.argmin(within[least - 1 : len(logs) - least])) + least
    return float(logs[cut - 1] + logs[cut]) / 2.0
