"""What is true of a batch of people at one time, and which part of it may a reader see?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from twingym.envs.layout import TIME_LEFT
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Values
from twingym.twins.cohort import Cohort, Ids, Rows
from twingym.twins.scales import Floats
from twingym.twins.variables import Audience, Variable

Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True)
class Moment:
    """N people at one time; its arrays are never written to, a change makes a new moment.

    Attributes:
        cohort: The people.
        observed: What the dynamics says, within the bounds, shape (V, N).
        inputs: Inputs in force, shape (N, K).
        memory: What bookkeeping counts, arrays by name with first axis N; holds the derived variables.
        t: Steps made, shape (N,).
    """

    cohort: Cohort
    observed: Floats
    inputs: Floats
    memory: Mapping[str, Floats]
    t: Ids

    def take(self, rows: Rows) -> Moment:
        """Return the people in ``rows`` at this time."""
        memory = {name: values[rows] for name, values in self.memory.items()}
        return Moment(self.cohort.take(rows), self.observed[:, rows], self.inputs[rows], memory, self.t[rows])

    def put(self, rows: Rows, other: Moment) -> Moment:
        """Return the moment in which ``other`` sits in ``rows``."""

        def merged(mine: NDArray[Number], theirs: NDArray[Number]) -> NDArray[Number]:
            result = np.array(mine)
            result[rows] = theirs
            return result

        observed = self.observed.copy()
        observed[:, rows] = other.observed
        return replace(
            self,
            cohort=self.cohort.put(rows, other.cohort),
            observed=observed,
            inputs=merged(self.inputs, other.inputs),
            memory={name: merged(values, other.memory[name]) for name, values in self.memory.items()},
            t=merged(self.t, other.t),
        )


class Reading:
    """What one reader sees of a moment, by name in physical units."""

    def __init__(self, scenario: Scenario, reader: Audience, horizon: int) -> None:
        """Look up once what ``reader`` may see of ``scenario``."""

        def seen(variables: tuple[Variable, ...]) -> list[tuple[str, int]]:
            return [(v.name, column) for column, v in enumerate(variables) if v.seen_by(reader)]

        self._traits, self._derived = seen(scenario.traits), seen(scenario.derived)
        self._variables, self._inputs = seen(scenario.variables), seen(scenario.inputs)
        self._ends_after = horizon if scenario.ending == "end" else 0

    def __call__(self, moment: Moment, inputs: bool = True, derived: bool = True) -> Values:
        """Return the values, each (N,); without ``inputs`` or ``derived`` ones if so asked."""
        traits, memory = moment.cohort.traits, moment.memory
        found = Values({name: traits[name] for name, _ in self._traits})
        for name, column in self._variables:
            found[name] = moment.observed[column]
        if inputs:
            for name, column in self._inputs:
                found[name] = moment.inputs[:, column]
        if derived:
            for name, _ in self._derived:
                found[name] = memory[name]
        if self._ends_after:
            found[TIME_LEFT.name] = 1.0 - moment.t / self._ends_after
        return found
