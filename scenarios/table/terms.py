"""Rewards, costs, rules and one-time decisions that a spec file can state without code.

All are plain data that can be called, so that a scenario's fingerprint holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from twingym.scenarios.rule import Settings
from twingym.scenarios.step import Step, Values
from twingym.twins.scales import Floats


@dataclass(frozen=True)
class Term:
    """A number per person and step: of one named value, or a constant.

    Attributes:
        of: A variable after the step, a trait, or an intervention as delivered; empty for a constant.
        weight: What it is multiplied by.
        above: Counts 1 where the value is above this, else 0, in place of the value.
        below: Counts 1 where it is below this.
        equals: Counts 1 where it is this number (of a level).
        log: Whether the value's natural logarithm counts.

    What was not measured counts 0: nobody is paid for what is not known.
    """

    of: str = ""
    weight: float = 1.0
    above: float | None = None
    below: float | None = None
    equals: float | None = None
    log: bool = False

    def __call__(self, step: Step) -> Floats:
        """Return the term of a step, (N,)."""
        if not self.of:
            return np.full(len(next(iter(step.after.values()))), self.weight)
        return self.at(step.delivered[self.of] if self.of in step.delivered else step.after[self.of])

    def at(self, value: Floats) -> Floats:
        """Return the term of values (N,)."""
        if (self.above, self.below, self.equals) == (None, None, None):
            counted = np.log(value) if self.log else value
        else:
            counted = np.ones(len(value))
            counted *= 1.0 if self.above is None else value > self.above
            counted *= 1.0 if self.below is None else value < self.below
            counted *= 1.0 if self.equals is None else value == self.equals
        return np.asarray(self.weight * np.where(np.isfinite(value), counted, 0.0))


@dataclass(frozen=True)
class Total:
    """The sum of terms."""

    terms: tuple[Term, ...]

    def __call__(self, step: Step) -> Floats:
        """Return the sum of a step, (N,)."""
        return np.asarray(sum(term(step) for term in self.terms))


@dataclass(frozen=True)
class Give:
    """A rule: these amounts, or others while a condition holds of what the policy sees.

    Attributes:
        amounts: Amount, or number of a level, by intervention.
        when: The condition, a term that is not 0; None for always.
        otherwise: Amounts where it does not hold.
    """

    amounts: Mapping[str, float]
    when: Term | None = None
    otherwise: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
        """Return the amounts of each intervention, (N,)."""
        count = len(next(iter(now.values())))
        holds = np.ones(count, bool) if self.when is None else self.when.at(now[self.when.of]) != 0.0
        return {
            name: np.where(holds, amount, self.otherwise.get(name, 0.0)).astype(np.float64)
            for name, amount in self.amounts.items()
        }


GIVEN = "_given"  # after an intervention's name: what was decided at entry, 0 for nothing yet, else the level plus 1


@dataclass(frozen=True)
class AtEntry:
    """Interventions that are decided once, at entry, and then stay: what of them was decided is remembered.

    Attributes:
        names: The interventions.
    """

    names: tuple[str, ...]

    def start(self, now: Values) -> dict[str, Floats]:
        """Return the memory of newcomers."""
        count = len(next(iter(now.values())))
        return {name + GIVEN: np.zeros(count) for name in self.names}

    def update(self, memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
        """Remember what was delivered first."""
        return {
            key: np.where(given > 0.0, given, step.delivered[key.removesuffix(GIVEN)] + 1.0)
            for key, given in memory.items()
        }

    def enforce(self, now: Values, amounts: Values) -> Values:
        """Return what was decided, in place of anything else."""
        held = {name: np.where(now[name + GIVEN] > 0.0, now[name + GIVEN] - 1.0, amounts[name]) for name in self.names}
        return Values({**amounts, **held})

    def changed(self, step: Step) -> Floats:
        """Return for whom something else was delivered than decided: the cost, (N,)."""
        found = np.zeros(len(next(iter(step.after.values()))))
        for name in self.names:
            given = step.before[name + GIVEN]
            found = np.maximum(found, (given > 0.0) & (step.delivered[name] != given - 1.0))
        return found
