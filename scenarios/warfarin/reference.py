"""Who starts warfarin here, and what does their INR show: the reference dynamics of Warfarin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from twingym.scenarios.warfarin.hamberg import Body, Day, Drug, untreated
from twingym.twins.cohort import Cohort, Population, Rows
from twingym.twins.scales import Floats

ANCESTRIES = ("african", "east_asian", "european")
SEXES = ("female", "male")
AGE_BANDS = ("under 65", "65 to 74", "75 and over")
CYP2C9 = ("*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3")
VKORC1 = ("G/G", "G/A", "A/A")
ALLELES = np.array([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)])  # of each CYP2C9 genotype
GENOTYPE_OF = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])  # the number of the genotype that two alleles make
INR_RANGE = (0.5, 20.0)


@dataclass(frozen=True)
class Constants(Drug):
    """Every number by which people move; units and sources stand in ``PROVENANCE`` of scenarios/warfarin/sources.py.

    Tuples go by the levels declared above: alleles *1, *2, *3; alleles G, A; ancestries; sexes.
    """

    allele_clearance: tuple[float, ...] = (0.174, 0.0879, 0.0422)
    clearance_age_slope: float = 0.00571
    typical_age: float = 71.0
    volume: float = 14.3
    allele_half_effect: tuple[float, ...] = (2.05, 0.96)
    elimination_spread: float = 0.071
    volume_spread: float = 0.054
    half_effect_spread: float = 0.240
    inr_error: float = 0.190
    ancestry_shares: tuple[float, ...] = (1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0)
    cyp2c9_2_frequency: tuple[float, ...] = (0.008, 0.001, 0.124)
    cyp2c9_3_frequency: tuple[float, ...] = (0.002, 0.034, 0.073)
    vkorc1_a_frequency: tuple[float, ...] = (0.054, 0.885, 0.388)
    female_share: float = 0.5314
    age_mean: float = 67.3
    age_spread: float = 13.4
    age_limits: tuple[float, float] = (20.0, 95.0)
    height_mean: tuple[float, ...] = (161.3, 175.3)
    height_spread: float = 7.0
    weight_mean: tuple[float, ...] = (77.5, 90.6)
    weight_spread: float = 0.2

    def typical(self, age: Floats, cyp2c9: Floats, vkorc1: Floats) -> Body:
        """Return what Hamberg et al. 2010 expect of people of this age and these genotypes, each (N,)."""
        clearance = np.array(self.allele_clearance)[ALLELES].sum(axis=1)[cyp2c9.astype(np.intp)]
        clearance = clearance * (1.0 - self.clearance_age_slope * (age - self.typical_age))
        g, a = self.allele_half_effect
        half_effect = np.array([2.0 * g, g + a, 2.0 * a])[vkorc1.astype(np.intp)]
        volume = np.full(len(age), self.volume)
        return Body(clearance / volume, volume, half_effect)


def draw_people(constants: Constants) -> Population:
    """Return the people that these constants describe.

    Ancestry moves nothing but the frequencies of alleles, and sex nothing but height and weight, which only some dosing
    formulas look at. Traits that may be fixed: all but ``age_band``, which follows from age.
    """

    def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
        c, n = constants, len(numbers)

        def unless_fixed(name: str, value: ArrayLike) -> Floats:
            return np.full(n, float(fixed[name])) if name in fixed else np.asarray(value, dtype=np.float64)

        shares = np.cumsum(c.ancestry_shares)[:-1]
        ancestry = unless_fixed("ancestry", np.searchsorted(shares, numbers[:, 0], side="right"))
        sex = unless_fixed("sex", numbers[:, 1] >= c.female_share)
        low, high = (ndtr((limit - c.age_mean) / c.age_spread) for limit in c.age_limits)
        age = unless_fixed("age", c.age_mean + c.age_spread * ndtri(low + (high - low) * numbers[:, 2]))
        own, of = ancestry.astype(np.intp), sex.astype(np.intp)
        height = np.array(c.height_mean)[of] + c.height_spread * ndtri(numbers[:, 3])
        weight = np.array(c.weight_mean)[of] * np.exp(c.weight_spread * ndtri(numbers[:, 4]) - 0.5 * c.weight_spread**2)
        # Two alleles each, drawn apart (Hardy and Weinberg).
        third = np.array(c.cyp2c9_3_frequency)[own][:, None]
        second = third + np.array(c.cyp2c9_2_frequency)[own][:, None]
        pair = (numbers[:, 5:7] < second).astype(np.intp) + (numbers[:, 5:7] < third)  # (N, 2): *1, *2 or *3
        a = np.array(c.vkorc1_a_frequency)[own][:, None]
        traits = {
            "ancestry": ancestry,
            "sex": sex,
            "age": age,
            "age_band": np.searchsorted((65.0, 75.0), age, side="right").astype(np.float64),
            "height": unless_fixed("height", height),
            "weight": unless_fixed("weight", weight),
            "cyp2c9": unless_fixed("cyp2c9", GENOTYPE_OF[pair[:, 0], pair[:, 1]]),
            "vkorc1": unless_fixed("vkorc1", (numbers[:, 7:9] < a).sum(axis=1)),
        }
        typical = c.typical(age, traits["cyp2c9"], traits["vkorc1"])
        hidden = {
            "elimination": typical.elimination * np.exp(c.elimination_spread * ndtri(numbers[:, 9])),
            "volume": typical.volume * np.exp(c.volume_spread * ndtri(numbers[:, 10])),
            "half_effect": typical.half_effect * np.exp(c.half_effect_spread * ndtri(numbers[:, 11])),
        }
        return traits, hidden

    return Population(draw=draw, width=12, seed=2010)


@dataclass
class WarfarinState:
    """What the reference remembers of N people: how their days go, and where drug and effect are, (ROWS, N)."""

    day: Day
    amounts: Floats


class WarfarinReference:
    """Hamberg's model with an INR that is measured with error every morning, before the day's dose.

    The action is the day's dose of warfarin, mg. Observed are the measured INR and, for auditors, the true one and the
    concentration of S-warfarin, mg/L.
    """

    noise_width = 1

    def __init__(self, constants: Constants) -> None:
        """Prepare for people under ``constants``."""
        self.constants = constants

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[WarfarinState, Floats]:
        """Begin before the first dose; see :class:`~twingym.twins.dynamics.Dynamics`."""
        state = WarfarinState(Day(Body(**cohort.hidden), self.constants), untreated(len(cohort)))
        return state, self._observe(state, noise)

    def step(self, state: WarfarinState, action: Floats, inputs: Floats, noise: Floats) -> tuple[WarfarinState, Floats]:
        """Move a day; see :class:`~twingym.twins.dynamics.Dynamics`."""
        state.amounts = state.day.pass_with(action[:, 0], state.amounts)
        return state, self._observe(state, noise)

    def restart(
        self, state: WarfarinState, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[WarfarinState, Floats]:
        """Begin new courses in ``rows``; see :class:`~twingym.twins.dynamics.Dynamics`."""
        fresh, observed = self.initial(cohort, inputs, noise)
        state.amounts[:, rows] = fresh.amounts
        return WarfarinState(Day(state.day.body.put(rows, fresh.day.body), self.constants), state.amounts), observed

    def take(self, state: WarfarinState, rows: Rows) -> WarfarinState:
        """Copy ``rows``; see :class:`~twingym.twins.dynamics.Dynamics`."""
        return WarfarinState(Day(state.day.body.take(rows), self.constants), state.amounts[:, rows])

    def _observe(self, state: WarfarinState, noise: Floats) -> Floats:
        inr = state.day.inr(state.amounts)
        measured = np.clip(inr * np.exp(self.constants.inr_error * ndtri(noise[:, 0])), *INR_RANGE)
        return np.stack([measured, np.minimum(inr, INR_RANGE[1]), state.day.concentration(state.amounts)], axis=1)
