"""How is the twin model of Sepsis compared with the simulator: fixed before it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.sepsis.tables import ALL, ANTIBIOTICS, NONE, VASOPRESSORS, VENTILATION
from twingym.twins.scales import Floats

HISTORY, EFFECT = 4, 6
USUAL = ANTIBIOTICS + VENTILATION


def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
    """Antibiotics and ventilation, under which most live long and nobody is discharged.

    By the person's uniform vasopressors go on and off with a period of 4 to 9 steps, antibiotics pause for a step of
    each, or both.
    """
    steps = inputs.shape[1] - 1
    kind = np.minimum((3.0 * u).astype(int), 2)[:, None]
    every = 4 + (3.0 * u % 1.0 * 6.0).astype(int)[:, None]
    phase = np.arange(steps)[None, :] % every
    raised, paused = (kind != 1) & (2 * phase >= every), (kind != 0) & (phase == 0)
    return np.asarray((USUAL + VASOPRESSORS * raised - ANTIBIOTICS * paused)[..., None], dtype=np.float64)


def after_history(inputs: Floats, intended: Floats) -> NDArray[np.int64]:
    """Everybody's branches begin when the history ends."""
    return np.full(len(inputs), HISTORY)


def always(treatment: int) -> Callable[[Floats, int], Floats]:
    """Return the dose: the same treatment at every step."""

    def dose(amounts: Floats, since: int) -> Floats:
        return np.full_like(amounts, treatment)

    return dose


def more_or_less(amounts: Floats, factor: Floats) -> Floats:
    """Stop a share of the treatments (factor below 1), or begin others (above 1), by turns of two steps.

    Turns are counted from the end of the history, from where on forecasts look.
    """
    turn = (np.arange(amounts.shape[1])[None, :] - HISTORY) // 2 % 4
    stopped, begun = turn >= 4.0 * factor[:, None], turn < 4.0 * (factor[:, None] - 1.0)
    return np.where(stopped, NONE, np.where(begun, ALL, amounts[..., 0]))[..., None].astype(np.float64)


PLAN = FidelityPlan(
    variable="blood_pressure",
    history=HISTORY,
    horizons={"1 step": 1, "4 steps": 4},
    coverage={"1 step": 1, "4 steps": 4, "8 steps": 8},
    schedule=schedule,
    branch=after_history,
    doses={
        "antibiotics and ventilation": always(USUAL),
        "vasopressors too": always(ALL),
        "vasopressors instead": always(VASOPRESSORS),
        "no antibiotics": always(VENTILATION),
    },
    effect_steps=EFFECT,
    people=1200,
    effect_samples=100,
    policies={
        "none": ("none", {}),
        "vasopressors": ("none", {"treatment": float(VASOPRESSORS)}),
        "ventilation": ("none", {"treatment": float(VENTILATION)}),
        "antibiotics": ("none", {"treatment": float(ANTIBIOTICS)}),
        "antibiotics and ventilation": ("none", {"treatment": float(USUAL)}),
        "all": ("all", {}),
        "by signs": ("by_signs", {}),
        "by signs, no ventilation": ("by_signs", {"ventilation": 0.0}),
        "by signs, no vasopressors": ("by_signs", {"vasopressors": 0.0}),
        "until well": ("until_well", {}),
        "until well, no ventilation": ("until_well", {"ventilation": 0.0}),
        "until well, no vasopressors": ("until_well", {"vasopressors": 0.0}),
        "optimal": ("optimal", {}),
    },
    metric="return",
    tolerance=0.04,
    policy_steps=20,
    policy_people=4000,
    drift="until_well",
    drift_tolerance=0.05,
    shift=more_or_less,
    shifts=(0.0, 0.5, 1.0, 1.5),
)
