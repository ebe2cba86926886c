"""Which number of an observation means what, and how is it read back?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Values
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats, ScaleKind
from twingym.twins.variables import Variable

Observations = NDArray[np.float32]
Observation = Literal["scaled", "raw"]

# Where the problem ends at the horizon, what is left of it matters.
TIME_LEFT = Variable("time_left", "share of the horizon", about="1 at birth, 0 at the end.")


class ObservationLayout:
    """The public layout of an observation: what policies see of traits, variables, inputs and derived values.

    A categorical variable takes one column per level, named ``variable=level``. An intermittent one is followed by
    ``variable_measured``, 0 where it is NaN; its own columns then hold the middle of its range, or no level. Where the
    problem ends at the horizon the last column is ``time_left``.

    Attributes:
        variables: What is shown, in order.
        names: Name of each of the D columns.
        space: Space of one observation, shape (D,).
    """

    def __init__(self, scenario: Scenario, observation: Observation = "scaled") -> None:
        """Lay out the observations of ``scenario``.

        Args:
            scenario: What is observed.
            observation: ``scaled`` to [-1, 1] by declared bounds, or ``raw`` physical units (one-hot 0 and
                1).

        Raises:
            UnknownNameError: If ``observation`` is neither.
        """
        if observation not in ("scaled", "raw"):
            raise unknown("observation", observation, ("scaled", "raw"))
        ends = (TIME_LEFT,) if scenario.ending == "end" else ()
        self.variables = tuple(v for v in (*scenario.every_variable(), *ends) if v.seen_by("policy"))
        self.names = tuple(name for v in self.variables for name in _column_names(v))
        self._raw = observation == "raw"

        starts = np.cumsum([0, *(len(_column_names(v)) for v in self.variables)])
        self._one_hot = [(v, int(s)) for v, s in zip(self.variables, starts, strict=False) if v.levels]
        numbers = [(v, int(s)) for v, s in zip(self.variables, starts, strict=False) if not v.levels]
        # Whether something was measured stands in the last of its columns.
        self._measured = [
            (v, _measured(v), int(s)) for v, s in zip(self.variables, starts[1:] - 1, strict=True) if v.intermittent
        ]
        numbers += [(flag, column) for _, flag, column in self._measured]
        # Sorted by scale, so that each scale is one operation on neighbouring rows.
        self._numbers = sorted(numbers, key=lambda pair: ("linear", "log", "logit").index(pair[0].scale))
        self._columns = np.array([column for _, column in self._numbers], dtype=np.intp)
        self._low = np.array([[v.low] for v, _ in self._numbers])
        self._high = np.array([[v.high] for v, _ in self._numbers])
        self._linear = self._rows("linear")
        self._log = self._rows("log")
        self._knee = np.array([[v.scaling.knee] for v, _ in self._numbers[self._log]]).reshape(-1, 1)
        self._log_gain = 2.0 / np.log1p((self._high - self._low)[self._log] / self._knee)

        low, high = np.full(len(self.names), 0.0 if self._raw else -1.0), np.ones(len(self.names))
        if self._raw:
            low[self._columns], high[self._columns] = self._low[:, 0], self._high[:, 0]
        self.space = Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def _rows(self, scale: ScaleKind) -> slice:
        rows = [i for i, (v, _) in enumerate(self._numbers) if v.scale == scale]
        return slice(rows[0], rows[-1] + 1) if rows else slice(0, 0)

    def encode(self, values: Mapping[str, Floats]) -> Observations:
        """Turn values by name, each (N,), physical units, into observations (N, D), clipped to the bounds."""
        block = np.empty((len(self._numbers), len(values[self.variables[0].name])))
        flags = {flag.name: np.isfinite(values[v.name]).astype(np.float64) for v, flag, _ in self._measured}
        for row, (variable, _) in enumerate(self._numbers):
            block[row] = flags[variable.name] if variable.name in flags else values[variable.name]
            if variable.intermittent:
                block[row][np.isnan(block[row])] = float(variable.from_unit(np.array(0.0)))
        # np.clip with bounds per row takes three times as long.
        np.minimum(np.maximum(block, self._low, out=block), self._high, out=block)
        if not self._raw:
            self._scale(block)
        found = np.empty((len(self.names), block.shape[1]), dtype=np.float32)
        found[self._columns] = block
        for variable, start in self._one_hot:
            levels = np.arange(len(variable.levels))[:, None]
            found[start : start + len(levels)] = np.where(
                values[variable.name] == levels, 1.0, 0.0 if self._raw else -1.0
            )
        return np.ascontiguousarray(found.T)

    def _scale(self, block: Floats) -> None:
        low = self._low
        linear, log = self._linear, self._log
        part = block[linear]
        part -= low[linear]
        part *= 2.0 / (self._high - low)[linear]
        part -= 1.0
        part = block[log]
        part -= low[log]
        part /= self._knee
        np.log1p(part, out=part)
        part *= self._log_gain
        part -= 1.0
        for row in range(log.stop or linear.stop, len(block)):
            block[row] = self._numbers[row][0].to_unit(block[row])

    def decode(self, observations: Observations) -> Values:
        """Turn observations (N, D) back into values by name, each (N,), physical units.

        Raises:
            SpecError: If they have another number of columns.
        """
        columns = np.asarray(observations, dtype=np.float64).T
        if len(columns) != len(self.names):
            raise SpecError(
                f"observations have {len(columns)} columns; allowed: the scenario's {len(self.names)}, "
                f"{', '.join(self.names)}."
            )
        found = Values()
        for variable, start in self._one_hot:
            found[variable.name] = columns[start : start + len(variable.levels)].argmax(axis=0).astype(np.float64)
        for variable, column in self._numbers:
            value = columns[column] if self._raw else variable.from_unit(columns[column])
            found[variable.name] = value if variable.kind == "continuous" else np.rint(value)
        for variable, flag, _ in self._measured:
            found[variable.name] = np.where(found[flag.name] > 0.5, found[variable.name], np.nan)
        return Values({v.name: found[v.name] for v in self.variables})


def _measured(variable: Variable) -> Variable:
    return Variable(f"{variable.name}_measured", kind="binary")


def _column_names(variable: Variable) -> tuple[str, ...]:
    values = tuple(f"{variable.name}={level}" for level in variable.levels) or (variable.name,)
    return (*values, _measured(variable).name) if variable.intermittent else values
