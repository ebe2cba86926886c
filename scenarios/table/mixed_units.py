"""Are two units mixed in one column: two heaps of values whose medians differ by a known factor?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.units import other_units
from twingym.twins.scales import Floats

LEAST_SHARE, LEAST_VALUES = 0.01, 5  # of the smaller heap
NEAR = 0.15  # of a factor, in its logarithm: medians of small heaps are not known better
VALLEY = 0.1  # of the smaller heap, at most, in the middle third between the medians


class Heap(NamedTuple):
    """Values that seem to be in another unit: its name, and which they are, a mask over those that were given."""

    unit: str
    factor: float
    rows: NDArray[np.bool_]


def mixed(values: Floats, unit: str, own: Mapping[str, float]) -> Heap | None:
    """Return the heap in another unit, if there is one.

    Logarithms are parted half a factor beside their median (few values in the other unit) or where two heaps fit best
    (as many). They are two heaps where hardly anything lies half-way, and in two units where medians differ by the
    factor: a long tail has no valley.

    Args:
        values: Of one column, (N,); only positive ones count.
        unit: The declared one.
        own: The substance's own units (mmol/L of glucose), by name: how many make one of the declared.
    """
    factors = {**other_units(unit), **own}
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
