"""People moved by a twin model, and by an effect that no data tell of: it is assumed, and named wherever it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twingym.twins.cohort import Cohort, Rows
from twingym.twins.dynamics import State
from twingym.twins.errors import DynamicsError
from twingym.twins.model import TwinModel
from twingym.twins.scales import Floats

# Intervention -> number of its level -> variable -> what it adds to the log rate.
Effects = Mapping[str, Mapping[int, Mapping[str, float]]]
MOST = float(np.log(2.0))  # on the log rate: a second draw of the step can at most double it


@dataclass(frozen=True)
class _Effect:
    intervention: int
    level: int
    variable: int
    keep: float  # share of the second draw


class AssumedDynamics:
    """A twin model in which interventions that nobody was ever given multiply the rates of counts in their own step.

    People move as if left alone, which is all that the model knows. Then the step is drawn a second time, of the same
    person at the same moment, and each event of it is kept with probability exp(effect) - 1 and added: what two
    independent streams of events at rates r and (exp(effect) - 1) r come to is a stream at exp(effect) r. So whoever
    would not buy is not made to, whoever is gone stays gone, and the model remembers what was added.
    """

    def __init__(self, model: TwinModel, effects: Effects) -> None:
        """Put effects on a twin model; interventions named without any move nobody.

        Raises:
            DynamicsError: If an effect is on something other than a count, or is no increase up to twofold.
        """
        spec, self.inner = model.spec, model.dynamics()
        self.heads, self._whole = self.inner.heads, model.dynamics(reveal=True)  # of a second draw, all is counted
        names = [v.name for v in spec.interventions]
        self._unknown = [names.index(name) for name in effects]
        self._effects: list[_Effect] = []
        columns = [v.name for v in spec.variables]
        for name, levels in effects.items():
            for level, variables in levels.items():
                for variable, effect in variables.items():
                    if variable not in columns or spec.variables[columns.index(variable)].kind != "count":
                        counts = [v.name for v in spec.variables if v.kind == "count"]
                        raise DynamicsError(
                            f"the assumed effect of {name!r} is on {variable!r}; allowed: a count, of {counts}."
                        )
                    if not 0.0 <= effect <= MOST:
                        raise DynamicsError(
                            f"the assumed effect of {name!r} on {variable!r} is {effect:g}; allowed: 0 to {MOST:.2f} "
                            "on the log rate, which at most doubles it."
                        )
                    column = columns.index(variable)
                    self._effects.append(_Effect(names.index(name), level, column, float(np.expm1(effect))))
        self._high = np.array([v.high for v in spec.variables])
        self.noise_width = 2 * self.inner.noise_width + len(self._effects)

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[State, Floats]:
        """Begin a course for every person."""
        return self.inner.initial(cohort, inputs, noise[:, : self.inner.noise_width])

    def step(self, state: State, action: Floats, inputs: Floats, noise: Floats) -> tuple[State, Floats]:
        """Move everyone one time step."""
        width = self.inner.noise_width
        alone = action.copy()
        alone[:, self._unknown] = 0.0
        treated = np.flatnonzero((action[:, self._unknown] != 0.0).any(axis=1))
        again: Floats | None = None
        if len(treated):
            other = self.inner.take(state, treated)
            _, again = self._whole.step(other, alone[treated], inputs[treated], noise[treated, width : 2 * width])
        state, observed = self.inner.step(state, alone, inputs, noise[:, :width])
        if again is None:
            return state, observed
        told = observed.copy()
        for number, effect in enumerate(self._effects):
            here = action[treated, effect.intervention] == effect.level
            kept = binomial(again[:, effect.variable], effect.keep, noise[treated, 2 * width + number])
            told[treated, effect.variable] += np.where(here, kept, 0.0)
        told = np.minimum(told, self._high)
        more = np.flatnonzero((told != observed).any(axis=1))
        if len(more):
            state = self.inner.observe(state, told[more], more)
        return state, told

    def restart(self, state: State, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[State, Floats]:
        """Begin new courses in ``rows``."""
        return self.inner.restart(state, rows, cohort, inputs, noise[:, : self.inner.noise_width])

    def take(self, state: State, rows: Rows) -> State:
        """Return a copy of ``rows``, in that order."""
        return self.inner.take(state, rows)

    def observe(self, state: State, observed: Floats, rows: Rows | None = None) -> State:
        """Replace what was drawn at the last step by what was recorded."""
        return self.inner.observe(state, observed, rows)

    def disagreement(self, state: State) -> Floats:
        """Return how far the heads differed about the last step, shape (N,); none of them knows the effect."""
        return self.inner.disagreement(state)

    def means(self, state: State) -> Floats:
        """Return what each head expected of the last step, left alone, shape (M, N, D)."""
        return self.inner.means(state)

    def bind(self, state: State, head: NDArray[np.intp]) -> State:
        """Bind people to other heads, shape (N,), from here on."""
        return self.inner.bind(state, head)


def binomial(count: Floats, keep: float, u: Floats) -> Floats:
    """Return how many of ``count`` (N,) are kept, each with probability ``keep``, from uniforms (N,)."""
    from scipy.stats import binom

    return np.asarray(binom.ppf(u, np.nan_to_num(count), keep), dtype=np.float64)
