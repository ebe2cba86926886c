"""How is the twin model of Credit compared with the delayed-impact reference: fixed before it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.credit.rules import CYCLES
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.rule import Rule
from twingym.twins.scales import Floats

HISTORY, EFFECT = 8, 8
EVERY = np.array([2, 3, 4, 6])  # cycles between loans
SCORE = 1  # column of the score among the observed variables
FLOOR = 500.0  # points below which plans grant nothing: else loans that raise and that lower scores cancel out


def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
    """A loan every 2 to 6 cycles, whatever the score; how many and from when on is drawn from the person's uniform."""
    place = u * len(EVERY)
    every = EVERY[np.minimum(place.astype(int), len(EVERY) - 1)]
    first = (place % 1.0 * every).astype(int)
    due = (np.arange(inputs.shape[1] - 1)[None, :] - first[:, None]) % every[:, None] == 0
    return np.asarray(due[..., None], dtype=np.float64)


def above_floor(observed: Floats, amounts: Floats) -> Floats:
    """Grant nothing to who scores below the floor."""
    return amounts * (observed[:, [SCORE]] >= FLOOR)


def after_history(inputs: Floats, intended: Floats) -> NDArray[np.int64]:
    """Everybody's branches begin when the history ends."""
    return np.full(len(inputs), HISTORY)


def loan(every: int, until: int = CYCLES) -> Callable[[Floats, int], Floats]:
    """Return the dose: a loan every so many cycles, the first at once; none ``until`` cycles later."""

    def dose(amounts: Floats, since: int) -> Floats:
        return np.full_like(amounts, float(since % every == 0 and since < until))

    return dose


def more_often(amounts: Floats, factor: Floats) -> Floats:
    """Keep a share of the loans (factor below 1), or add others in between (above 1)."""
    cycles = np.arange(amounts.shape[1])
    kept = cycles[None, :] % 4 < 4.0 * factor[:, None]
    added = (cycles[None, :] % 2 == 0) & (factor[:, None] > 1.0)
    return np.where(kept, np.maximum(amounts[..., 0], added), 0.0)[..., None]


POLICIES: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "deny all": ("deny_all", {}),
    "approve all": ("approve_all", {}),
    "max-utility": ("max_utility", {}),
    "score-raising": ("score_raising", {}),
    "demographic parity": ("demographic_parity", {}),
    "equal opportunity": ("equal_opportunity", {}),
    "from 575 and 710": ("equal_opportunity", {"black": 575.0, "white": 710.0}),
    "from 500": ("one_threshold", {"least": 500.0}),
    "from 550": ("one_threshold", {"least": 550.0}),
    "from 575": ("one_threshold", {"least": 575.0}),
    "from 620": ("one_threshold", {}),
    "from 700": ("one_threshold", {"least": 700.0}),
}


def plan(rules: Mapping[str, Rule]) -> FidelityPlan:
    """Return the plan for a lender with these rules."""
    return FidelityPlan(
        variable="score",
        history=HISTORY,
        horizons={"4 cycles": 4, "8 cycles": 8},
        coverage={"1 cycle": 1, "4 cycles": 4, "12 cycles": 12},
        schedule=schedule,
        permit=above_floor,
        branch=after_history,
        doses={
            "no loan": loan(CYCLES, until=0),
            "one loan": loan(CYCLES),
            "a loan every 2 cycles": loan(2),
            "a loan every cycle": loan(1),
        },
        effect_steps=EFFECT,
        people=1000,
        effect_samples=40,
        policies={name: known for name, known in POLICIES.items() if known[0] in rules},
        metric="return",
        tolerance=1.0,  # what one repaid loan earns, in forty cycles
        policy_steps=CYCLES,
        policy_people=2000,
        drift="max_utility",
        drift_tolerance=5.0,  # points
        shift=more_often,
        shifts=(0.0, 0.5, 1.0, 2.0),
    )
