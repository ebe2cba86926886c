"""Who asks for a loan, who repays, and how does the score move: the reference dynamics of Credit.

Delayed impact (Liu et al. 2018, ICML, arXiv 1803.04383), applied to the same people cycle after cycle: a loan that is
repaid raises the score, a default lowers it by twice as much, and nothing else does. Between cycles we let the score
also move by other news (an assumption; 0 gives the published dynamics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri

from twingym.scenarios.credit.tables import HIGHEST, LOWEST, ScoreTable, Spread, synthetic
from twingym.twins.cohort import Cohort, Population
from twingym.twins.dynamics import ArrayDynamics
from twingym.twins.errors import unknown
from twingym.twins.scales import Floats

SEXES = ("female", "male")
SCORE, RACE = range(2)  # rows of the state


@dataclass(frozen=True)
class Constants:
    """Every number of the scenario; units and sources stand in ``PROVENANCE`` of scenarios/credit/scenario.py."""

    mean_black: float = 515.8
    mean_white: float = 651.3
    sd_black: float = 120.7
    sd_white: float = 95.5
    middle_black: float = 577.1
    middle_white: float = 574.7
    width_black: float = 48.9
    width_white: float = 28.2
    share_black: float = 0.12067
    drawn_black: float = 0.5
    raised: float = 75.0
    lowered: float = 150.0
    other_news: float = 15.0
    earned: float = 1.0
    lost: float = 4.0
    group_visible: bool = True
    tables: ScoreTable | None = None

    @cached_property
    def table(self) -> ScoreTable:
        """Scores and chances to repay by group: those that were read, or the synthetic ones."""
        if self.tables is not None:
            return self.tables
        black = Spread(self.mean_black, self.sd_black, self.middle_black, self.width_black)
        white = Spread(self.mean_white, self.sd_white, self.middle_white, self.width_white)
        return synthetic((black, white), (self.share_black, 1.0 - self.share_black))

    @property
    def break_even(self) -> float:
        """Chance to repay at which a loan earns nothing."""
        return self.lost / (self.earned + self.lost)

    @property
    def rising(self) -> float:
        """Chance to repay above which a loan raises the expected score, bounds aside."""
        return self.lowered / (self.raised + self.lowered)


def draw_people(constants: Constants) -> Population:
    """Return the applicants that these constants describe; sex says nothing about scores.

    Traits that may be fixed: ``race`` and ``sex``. Who is given another race keeps the place among its own.
    """

    def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
        traits = {
            "race": (numbers[:, 0] >= constants.drawn_black).astype(np.float64),
            "sex": np.floor(len(SEXES) * numbers[:, 1]),
        }
        for name, value in fixed.items():
            if name not in traits:
                raise unknown("trait that can be fixed", name, traits)
            traits[name] = np.full(len(numbers), float(value))
        return traits, {"first_score": constants.table.draw(traits["race"], numbers[:, 2])}

    return Population(draw=draw, width=3, seed=2018)


class CreditReference(ArrayDynamics):
    """One loan cycle per step; the state holds each one's score and race, (2, N).

    The action is whether the loan is granted. Observed are whether the person defaulted on a loan of the cycle, the
    score after it, and, whether or not a loan was granted, if it would have been repaid.
    """

    noise_width = 2

    def __init__(self, constants: Constants) -> None:
        """Move people by these constants."""
        self.constants = constants

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Begin before the first application; see :class:`~twingym.twins.dynamics.Dynamics`."""
        state = np.stack([cohort.hidden["first_score"], cohort.traits["race"]])
        nothing = np.zeros(len(cohort))
        return state, np.stack([nothing, state[SCORE], nothing], axis=1)

    def step(self, state: Floats, action: Floats, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Move one loan cycle; see :class:`~twingym.twins.dynamics.Dynamics`."""
        c, granted = self.constants, action[:, 0]
        repays = noise[:, 0] <= c.table.chance(state[RACE], state[SCORE])
        moved = granted * np.where(repays, c.raised, -c.lowered) + c.other_news * ndtri(noise[:, 1])
        score = np.clip(state[SCORE] + moved, LOWEST, HIGHEST)
        observed = np.stack([granted * ~repays, score, repays.astype(np.float64)], axis=1)
        return np.stack([score, state[RACE]]), observed
