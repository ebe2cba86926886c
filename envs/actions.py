"""How does what a policy chose become physical amounts, and when is it refused?"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from numpy.typing import ArrayLike, NDArray

from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import ActionError
from twingym.twins.scales import Floats

Actions = NDArray[Any]
TOLERANCE = 1e-4  # beyond [-1, 1] by rounding, not by mistake


class ActionMap:
    """Between the actions of a policy and the amounts of a scenario's interventions.

    Amounts take a Box of [-1, 1]; one categorical intervention a Discrete space; several a MultiDiscrete one.

    Attributes:
        names: Interventions, in declared order.
        space: Space of one action.
    """

    def __init__(self, scenario: Scenario) -> None:
        """Read the interventions of ``scenario``."""
        self._interventions = scenario.interventions
        self.names = tuple(i.name for i in scenario.interventions)
        self._levels = [len(i.levels) for i in scenario.interventions]
        self.categorical = scenario.interventions[0].categorical
        count = len(self.names)
        self.space: Box | Discrete | MultiDiscrete
        if not self.categorical:
            self.space = Box(-1.0, 1.0, (count,), np.float32)
        elif count == 1:
            self.space = Discrete(self._levels[0])
        else:
            self.space = MultiDiscrete(self._levels)

    def to_amounts(self, actions: ArrayLike, traits: dict[str, Floats]) -> Floats:
        """Turn actions (N, A), or (N,) for a Discrete space, into physical amounts (N, A).

        Args:
            actions: In [-1, 1], or level numbers.
            traits: By name, each (N,); bounds may be per person.

        Raises:
            ActionError: If an action has the wrong shape, is not finite or out of range; within 1e-4 it is
                clipped.
        """
        checked = self._checked(actions, len(next(iter(traits.values()))))
        amounts = np.empty(checked.shape)
        for column, intervention in enumerate(self._interventions):
            amounts[:, column] = intervention.deliver(checked[:, column], traits)
        return amounts

    def to_actions(self, amounts: Floats, traits: dict[str, Floats]) -> Actions:
        """Turn physical amounts (N, A) into actions that deliver them, clipped to the person's bounds."""
        columns = [i.undo(amounts[:, c], traits) for c, i in enumerate(self._interventions)]
        if not self.categorical:
            return np.stack(columns, axis=1).astype(np.float32)
        levels = np.stack([np.clip(np.rint(c), 0, n - 1) for c, n in zip(columns, self._levels, strict=True)], axis=1)
        found = levels.astype(np.int64)
        return found[:, 0] if isinstance(self.space, Discrete) else found

    def _checked(self, actions: ArrayLike, people: int) -> Floats:
        array = np.asarray(actions)
        shape = (people,) if isinstance(self.space, Discrete) else (people, len(self.names))
        if array.shape != shape:
            columns = f", columns {', '.join(self.names)}" if len(shape) == 2 else ""
            raise ActionError(f"actions have shape {array.shape}; allowed: {shape}, one row per person{columns}.")
        if array.dtype.kind not in "fiub":
            raise ActionError(f"actions have type {array.dtype}; allowed: numbers.")
        numbers = array.astype(np.float64).reshape(people, len(self.names))
        if self.categorical:
            right = (numbers == np.rint(numbers)) & (numbers >= 0) & (numbers < np.array(self._levels))
        else:
            right = np.abs(numbers) <= 1.0 + TOLERANCE
        if not right.all():  # NaN among them: it compares as False
            row, column = np.argwhere(~right)[0]
            raise ActionError(
                f"intervention {self.names[column]!r}: action is {numbers[row, column]:g} in row {row}; "
                f"allowed: {self._allowed(column)}. Clip it, or ask action_space."
            )
        return numbers  # the scale clips

    def _allowed(self, column: int) -> str:
        intervention = self._interventions[column]
        if self.categorical:
            return ", ".join(f"{number} ({level})" for number, level in enumerate(intervention.levels))
        times = f" times {intervention.per_person}" if intervention.per_person else ""
        return f"-1 to 1, for {intervention.low:g} to {intervention.high:g} {intervention.unit}{times}"
