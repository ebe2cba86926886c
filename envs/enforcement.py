"""Which of the amounts that a policy asks for may be delivered?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Values
from twingym.twins.errors import SpecError, UnknownNameError
from twingym.twins.scales import Floats

Flags = NDArray[np.bool_]


class Enforcement:
    """The hard constraints of a scenario, applied in declared order before anything is delivered."""

    def __init__(self, scenario: Scenario) -> None:
        """Look up the hard constraints of ``scenario``."""
        self._names = tuple(i.name for i in scenario.interventions)
        self._hard = [(c.name, c.enforce) for c in scenario.constraints if c.enforce is not None]

    def permit(self, now: Values, amounts: Floats) -> tuple[Floats, Flags]:
        """Return what may be delivered instead of ``amounts`` (N, A), and whose amounts were changed (N,).

        Raises:
            SpecError: If a constraint returns something that cannot be delivered; names it.
            UnknownNameError: If it returns an intervention that does not exist.
        """
        if not self._hard:
            return amounts, np.zeros(len(amounts), bool)
        permitted = Values({name: amounts[:, column] for column, name in enumerate(self._names)})
        for constraint, enforce in self._hard:
            permitted = Values({**permitted, **enforce(now, Values(permitted))})
            if len(permitted) > len(self._names):
                extra = sorted(set(permitted) - set(self._names))
                raise UnknownNameError(
                    f"constraint {constraint!r} enforces unknown interventions {extra}; known: {self._names}."
                )
        delivered = np.stack([np.broadcast_to(permitted[name], len(amounts)) for name in self._names], axis=1)
        if not np.isfinite(delivered).all():
            raise SpecError(
                f"hard constraints {[name for name, _ in self._hard]}: enforce returned what is not finite."
            )
        return delivered, (delivered != amounts).any(axis=1)

    def permitted_levels(self, now: Values, people: int, levels: int) -> Floats:
        """Return what each level of the one categorical intervention would become, shape (N, levels)."""
        asked = (np.full((people, 1), float(level)) for level in range(levels))
        return np.concatenate([self.permit(now, amounts)[0] for amounts in asked], axis=1)
