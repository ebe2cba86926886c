"""How does a policy's number become a physical amount for this person?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats, Scale, ScaleKind


@dataclass(frozen=True)
class Intervention:
    """One thing that a policy decides at every step.

    A continuous intervention takes the policy's number in [-1, 1] to an amount between ``low`` and ``high``; with
    ``per_person`` these bounds are multiples of that trait, so that each person has bounds of their own. A
    categorical one (``levels`` given) takes the number of a level.

    Attributes:
        name: Identifier.
        unit: Physical unit of the delivered amount, ``""`` for levels.
        low: Least amount (times the trait, with ``per_person``).
        high: Greatest amount (times the trait, with ``per_person``).
        scale: ``linear`` or ``log``; the logarithm is shifted, so that ``low = 0`` is reached exactly at -1.
        knee: Where the logarithm begins, above ``low``, in the unit of ``low``; defaults to ``low``.
        per_person: Name of the trait that multiplies the bounds, or None.
        ceiling: Greatest amount anybody may get, in ``unit``; needed with ``per_person``, else ``high``.
        levels: Names of the levels of a categorical intervention; level 0 is "do nothing".
        about: One sentence for people.
    """

    name: str
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    scale: ScaleKind = "linear"
    knee: float | None = None
    per_person: str | None = None
    ceiling: float | None = None
    levels: tuple[str, ...] = ()
    about: str = ""

    def __post_init__(self) -> None:
        """Refuse declarations that contradict themselves.

        Raises:
            SpecError: Naming the field.
        """

        def refuse(fieldname: str, value: object, allowed: str) -> SpecError:
            return SpecError(f"intervention {self.name!r}: {fieldname} is {value!r}; allowed: {allowed}.")

        if not self.name.isidentifier():
            raise refuse("name", self.name, "letters, digits and underscores, not starting with a digit")
        if self.levels:
            if len(set(self.levels)) < max(len(self.levels), 2):
                raise refuse("levels", self.levels, "at least two names, each once")
            return
        if not 0 <= self.low < self.high < math.inf:
            raise refuse("low, high", (self.low, self.high), f"0 <= low < high in {self.unit or '1'}, finite")
        if self.scale not in ("linear", "log"):
            raise refuse("scale", self.scale, "linear, log")
        if self.scale == "log" and not (self.low if self.knee is None else self.knee) > 0:
            raise refuse("knee", self.knee, "above 0 where low is 0 on a log scale")
        if (self.per_person is None) != (self.ceiling is None):
            raise refuse(
                "ceiling", self.ceiling, f"given exactly with per_person: the most anybody gets, in {self.unit}"
            )
        if self.ceiling is not None and not 0 < self.ceiling < math.inf:
            raise refuse("ceiling", self.ceiling, f"a positive number of {self.unit or '1'}")

    @property
    def categorical(self) -> bool:
        """Whether the policy chooses a level instead of an amount."""
        return bool(self.levels)

    @property
    def most(self) -> float:
        """Greatest amount anybody may get, in ``unit`` (the last level's number if categorical)."""
        if self.levels:
            return float(len(self.levels) - 1)
        return float(self.high if self.ceiling is None else self.ceiling)

    @cached_property
    def scaling(self) -> Scale:
        """The map between the person's own bounds and [-1, 1]."""
        return Scale(self.scale, self.low, self.high, self.knee if self.knee is not None else (self.low or 1.0))

    def deliver(self, unit_action: Floats, traits: dict[str, Floats]) -> Floats:
        """Turn policy numbers (N,) in [-1, 1], or level numbers, into physical amounts (N,)."""
        if self.levels:
            return np.asarray(unit_action, dtype=np.float64)
        amount = self.scaling.from_unit(unit_action)
        if self.per_person:
            amount = np.minimum(amount * traits[self.per_person], self.most)
        return amount

    def undo(self, amount: Floats, traits: dict[str, Floats]) -> Floats:
        """Turn physical amounts (N,) into the policy numbers that deliver them, clipped to the person's bounds."""
        if self.levels:
            return np.asarray(amount, dtype=np.float64)
        relative = amount / traits[self.per_person] if self.per_person else amount
        return self.scaling.to_unit(np.asarray(relative, dtype=np.float64))
