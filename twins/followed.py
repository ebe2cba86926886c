"""Who is where in a room that people enter and leave, each followed by a particle filter from birth on?

Whoever begins together shares a filter, so that a person's belief never depends on who came before in their slot, or
sits beside them.

Legend of shapes: N = slots, R = some of them, V = variables, A = interventions, K = inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from twingym.twins.cohort import Cohort, Rows
from twingym.twins.dynamics import Dynamics
from twingym.twins.particles import ParticleFilter
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable


class Followed:
    """Beliefs about the people in N slots."""

    def __init__(
        self,
        dynamics: Dynamics,
        variables: Sequence[Variable],
        error: Mapping[str, float],
        slots: int,
        *,
        particles: int,
        lag: int = 0,
        seed: int = 0,
    ) -> None:
        """Follow nobody yet; arguments as of :class:`~twingym.twins.particles.ParticleFilter`."""
        self._dynamics, self._variables, self._error = dynamics, tuple(variables), dict(error)
        self._slots, self._particles, self._lag, self._seed = slots, particles, lag, seed
        self._groups: list[tuple[Rows, ParticleFilter]] = []

    def begin(self, rows: Rows, cohort: Cohort, inputs: Floats, reading: Floats) -> None:
        """Follow new people in ``rows`` (R,) from birth on, with inputs (R, K) and what was read at birth, (R, V)."""
        self.leave(rows)
        how = (self._dynamics, self._variables, cohort, inputs, self._error)
        belief = ParticleFilter(*how, particles=self._particles, lag=self._lag, seed=self._seed)
        belief.assimilate(reading)
        self._groups.append((rows, belief))

    def leave(self, rows: Rows) -> None:
        """Follow whoever sits in ``rows`` (R,) no longer."""
        left = []
        for members, belief in self._groups:
            stay = np.flatnonzero(~np.isin(members, rows))
            if len(stay) == len(members):
                left.append((members, belief))
            elif len(stay):
                left.append((members[stay], belief.take(stay)))
        self._groups = left

    def step(self, action: Floats, inputs: Floats, readings: Mapping[int, Floats]) -> None:
        """Move everybody under amounts (N, A) and inputs (N, K), and take in readings (N, V) by how late they are."""
        for members, belief in self._groups:
            belief.step(action[members], inputs[members])
            belief.take_in({late: reading[members] for late, reading in readings.items() if late < belief.t})

    @property
    def estimate(self) -> Floats:
        """What is believed of everybody, (N, V); NaN of whom nobody follows."""
        found = np.full((self._slots, len(self._variables)), np.nan)
        for members, belief in self._groups:
            found[members] = belief.estimate
        return found
