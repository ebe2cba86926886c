"""What was recorded about people over time: the one form in which training data travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twingym.twins.cohort import Ids
from twingym.twins.scales import Floats


@dataclass(frozen=True)
class Courses:
    """Whole courses of N people over at most T steps, physical units.

    Attributes:
        ids: Person of each course, shape (N,).
        traits: Recorded constant properties, each of shape (N,).
        observed: Observations in the scenario's order, shape (N, T + 1, V); NaN where missing and after the end.
        delivered: Interventions, shape (N, T, A).
        inputs: Exogenous inputs, shape (N, T + 1, K).
        propensity: Log density or log probability of what was delivered under the behaviour policy, shape (N, T);
            NaN if the behaviour is unknown.
        length: Steps each course lasted, shape (N,).
    """

    ids: Ids
    traits: Mapping[str, Floats]
    observed: Floats
    delivered: Floats
    inputs: Floats
    propensity: Floats
    length: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of courses."""
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> Courses:
        """Return the courses in ``rows``, in that order."""
        return Courses(
            self.ids[rows],
            {name: values[rows] for name, values in self.traits.items()},
            self.observed[rows],
            self.delivered[rows],
            self.inputs[rows],
            self.propensity[rows],
            self.length[rows],
        )

    def filled(self) -> Courses:
        """Return the courses with numbers where nothing is known any more: nothing delivered, inputs as they last were.

        What was not observed stays NaN.
        """
        step = np.arange(self.inputs.shape[1])  # of T + 1
        over = step[:-1] >= self.length[:, None]  # (N, T)
        known = np.isfinite(self.inputs).all(axis=2) & (step <= self.length[:, None])  # (N, T + 1)
        newest = np.maximum.accumulate(np.where(known, step, 0), axis=1)
        return replace(
            self,
            delivered=np.where(over[..., None], 0.0, self.delivered),
            inputs=np.nan_to_num(np.take_along_axis(self.inputs, newest[..., None], axis=1)),
        )
