"""How may a reading differ from what is true?

Readings of numbers have a normal error. One of a level (of a binary or categorical variable, or of an event) says
another level with some chance, any of the others alike.

Legend of shapes: N = people, P = particles of each, V = variables, ... = any axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from twingym.twins.cohort import Ids
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

LEVELS = ("binary", "categorical", "event")  # kinds whose values are not more or less


def check_error(variable: Variable, error: float) -> None:
    """Refuse an error that cannot be.

    Raises:
        SpecError: Naming variable, number and what is allowed.
    """
    chance = variable.kind in LEVELS
    if not 0.0 <= error < (1.0 if chance else np.inf):
        allowed = "a chance to read another level, from 0 to less than 1" if chance else "0 or a positive number"
        unit = "" if chance else f" of {variable.unit or '1'}"
        raise SpecError(f"error of {variable.name!r} is {error}; allowed: {allowed}{unit}.")


class Sensor:
    """Reads some of V variables.

    Attributes:
        error: Of each variable, (V,): a standard deviation in its unit, or the chance to read another level; NaN where
            it is not read.
        read: Which are read, (V,).
        levels: Which have levels, (V,).
    """

    def __init__(self, variables: Sequence[Variable], error: Mapping[str, float]) -> None:
        """Read the variables that are named, with these errors.

        Raises:
            UnknownNameError: If there is no such variable.
            SpecError: If an error is impossible.
        """
        names = [v.name for v in variables]
        for name, number in error.items():
            if name not in names:
                raise unknown("variable", name, names)
            check_error(variables[names.index(name)], number)
        self._variables = tuple(variables)
        self.error = np.array([error.get(name, np.nan) for name in names])
        self.read: NDArray[np.bool_] = np.isfinite(self.error)
        self.levels: NDArray[np.bool_] = np.array([v.kind in LEVELS for v in variables])
        self._low, self._high = (np.array([getattr(v, side) for v in variables]) for side in ("low", "high"))
        # Of each of the other levels; of what has none nobody asks.
        self._other = np.where(self.levels, self.error / np.maximum(self._high - self._low, 1.0), np.nan)

    def known(self, reading: Floats) -> NDArray[np.bool_]:
        """Return which readings (N, V) say something, (N, V)."""
        return np.asarray(np.isfinite(reading) & self.read)

    def draw(self, truth: Floats, u: Floats) -> Floats:
        """Return readings (..., V) of what is true, (..., V), with uniforms (..., V); they stay within bounds."""
        found = np.minimum(np.maximum(truth + self.error * ndtri(u), self._low), self._high)
        wrong = self.levels & (u < self.error) & np.isfinite(truth)
        another = self._low + np.floor(np.divide(u, self._other, out=np.zeros_like(u), where=wrong))
        return np.where(wrong, another + (another >= truth), np.where(self.levels, truth, found))

    def log_likelihood(self, reading: Floats, truth: Floats) -> Floats:
        """Log density of readings (N, V) if this is true, (N, P, V), together, (N, P); NaN is no reading."""
        found = np.zeros(truth.shape[:2])
        for column in np.flatnonzero(self.read):
            read, error = reading[:, [column]], self.error[column]
            if self.levels[column]:
                now = np.log(np.where(read == truth[..., column], 1.0 - error, self._other[column]))
            else:
                now = -0.5 * ((read - truth[..., column]) / error) ** 2 - np.log(error) - 0.5 * np.log(2.0 * np.pi)
            found += np.where(np.isfinite(read), now, 0.0)
        return found

    def below(self, column: int, reading: Floats, truth: Floats) -> tuple[Floats, Floats]:
        """Chances that a reading of a variable is below this one, and at most this one, if this is true; all (...)."""
        error, low, high = self.error[column], self._low[column], self._high[column]
        if self.levels[column]:
            under, other = reading - low, self._other[column]  # so many levels are below it
            right = 1.0 - error - other
            return other * under + right * (truth < reading), other * (under + 1.0) + right * (truth <= reading)
        if error > 0.0:
            chance = np.asarray(ndtr((reading - truth) / error))
            # On a bound stand all readings beyond it.
            return np.where(reading <= low, 0.0, chance), np.where(reading >= high, 1.0, chance)
        return (truth < reading).astype(np.float64), (truth <= reading).astype(np.float64)

    def check(self, reading: Floats, ids: Ids) -> None:
        """Refuse readings (N, V) of these people that cannot be; NaN is none.

        Raises:
            SpecError: Naming person, variable and number.
        """
        within = (self._low <= reading) & (reading <= self._high) & (~self.levels | (reading == np.rint(reading)))
        wrong = self.read & ~np.isnan(reading) & ~within
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            v = self._variables[column]
            whole = "a whole number from " if self.levels[column] else ""
            raise SpecError(
                f"reading of {v.name!r} of person {ids[row]} is {reading[row, column]:g}; allowed: "
                f"{whole}{v.low:g} to {v.high:g} {v.unit}".rstrip()
                + ", or NaN where nothing was read. Clip what a sensor says beyond its range, or leave it out."
            )
