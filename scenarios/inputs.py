"""What happens to people from outside, and what does somebody take it for who is not shown all of it?"""

from __future__ import annotations

from typing import Protocol

from twingym.twins.cohort import Cohort, Ids
from twingym.twins.scales import Floats


class Inputs(Protocol):
    """Exogenous series that no intervention changes, the same under every dynamics."""

    def __call__(self, cohort: Cohort, seed: int, episode: Ids, steps: int) -> Floats:
        """Draw the inputs of N courses.

        Args:
            cohort: N people.
            seed: Experiment seed.
            episode: Episode number of each, shape (N,).
            steps: Number of steps.

        Returns:
            Array of shape (N, steps + 1, K), physical units: entry t is in force from step t to t + 1.
        """
        ...


class Guess(Protocol):
    """What somebody who is shown some inputs takes the hidden ones for, possibility by possibility."""

    def __call__(self, shown: Floats, memory: Floats, u: Floats) -> tuple[Floats, Floats]:
        """Guess the inputs now.

        Args:
            shown: Inputs in force, shape (M, K), physical units; NaN in channels that policies are not shown.
            memory: A number that each possibility keeps from step to step, shape (M,); 0 at birth.
            u: A uniform for each, in (0, 1), shape (M,).

        Returns:
            Inputs without gaps, (M, K), and the next memory, (M,).
        """
        ...
