"""How far from the rules are people treated in the courses from which a twin model learns?"""

from __future__ import annotations

from dataclasses import dataclass

from twingym.twins.errors import SpecError


@dataclass(frozen=True)
class Mixture:
    """Shares of people who are treated in each way.

    Attributes:
        clinician: By a rule, with small deviations.
        exploratory: By a rule, with large and lasting deviations, extra doses and omissions.
        randomised: At random, whatever their state.
    """

    clinician: float = 0.45
    exploratory: float = 0.35
    randomised: float = 0.20

    def __post_init__(self) -> None:
        """Refuse shares that are negative or all zero.

        Raises:
            SpecError: Naming what is wrong.
        """
        if min(self.shares) < 0 or sum(self.shares) <= 0:
            raise SpecError(f"mixture is {self}; allowed: shares of 0 or more, not all zero.")

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares in the order of the modes."""
        return self.clinician, self.exploratory, self.randomised
