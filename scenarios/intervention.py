"""How does a policy's number become a physical amount for this person?"""

from __future__ import annotations

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
        if not self.name.isidentifier():
            raise SpecError(f"intervention {self.name!r}: name must be an identifier.")
        if self.levels:
            if len(self.levels) < 2:
                raise SpecError(f"intervention {self.name!r}: levels is {self.levels!r}; allowed: at least two names.")
            return
        if not 0 <= self.low < self.high:
            raise SpecError(
                f"intervention {self.name!r}: low, high are {self.low}, {self.high} {self.unit}; "
                "allowed: 0 <= low < high."
            )
        if self.scale == "log" and not (self.knee or self.low) > 0:
            raise SpecError(
                f"intervention {self.name!r}: knee is {self.knee!r}; allowed: above 0 where low is 0 on a log scale."
            )
        if self.per_person and self.ceiling is None:
            raise SpecError(
                f"intervention {self.name!r}: ceiling is missing; it is the most anybody may get, in {self.unit}."
            )

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
