"""Who asks for a loan, who repays, and how does the score move: the reference dynamics of Credit.

Delayed impact (Liu et al. 2018, ICML, arXiv 1803.04383), applied to the same people cycle after cycle: a loan that is
repaid raises the score, and a default lowers it by twice as much. Other news moves it too, which is an assumption: an
``other_news`` of 0 gives the published dynamics.
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

EQUATIONS = """\
The delayed impact of Liu et al. 2018, cycle after cycle. A person of a group has the score `x` and, where granted, gets
a loan (`L = 1`, else 0). Names are those of the constants below, `mean`, `sd`, `middle` and `width` those of the group;
`n` is a standard normal number of the person and cycle.

```text
first score    x = 300 + 550 b    b ~ Beta(m c, (1 - m) c)    m = (mean - 300) / 550    c = m (1 - m) (550 / sd)^2 - 1
repays         R ~ Bernoulli(q(x))                            q(x) = 1 / (1 + exp(-(x - middle) / width))
next score     x + L (raised R - lowered (1 - R)) + other_news n, clipped to 300 and 850
profit         L (earned R - lost (1 - R))
```

Shares of people and `q` are tabulated at whole points, with straight lines between them. Who has the tables of the
report (they come without a licence) puts them in their place: a file with `SCENARIO = from_files(distribution,
performance, totals)`, from `twingym.scenarios.credit.scenario`, is a scenario like any other. Percentiles then become
points by the national distribution of scores, and thresholds, shares, changes of score and profit are those that Liu's
own code prints, to every digit; under the default calibration thresholds come within 14 points and shares within .015
(`tests/test_credit.py`, where `TWINGYM_CREDIT_TABLES` names the folder of the tables).

In a cycle everybody applies. The lender sees the score, loans and defaults so far and, by default, the group, and
grants or denies. Whether a loan would be repaid is drawn for everybody, from the score before the cycle; only auditors
see it of those who were denied. A repaid loan raises the score and a default lowers it; other news moves everybody's,
with or without a loan. After 40 cycles the problem ends. At `other_news` 0 a cycle is that of the paper.

Rules grant from a score on, which is worked out once, from the tables as they are before the first cycle, and rounded
to a tenth of a point:

| rule | grants |
| --- | --- |
| max_utility | where `q >= lost / (earned + lost)`, 0.8: no loan is expected to cost anything |
| score_raising | where `q >= lowered / (raised + lowered)`, 2/3: below it a loan lowers the expected score |
| demographic_parity | the highest scores, the same share of each group |
| equal_opportunity | the highest scores, the same share of those in each group who would repay |
| one_threshold | from the same score on, whatever the group |
| approve_all, deny_all | everybody, nobody |

Both parity rules take the share of the greatest expected profit in a cycle, groups weighed by `share_black`. A lender
who sees no group has the tables of both together, weighed alike, and no parity rule.
"""

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
