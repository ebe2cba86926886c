"""How is the twin model of Glucose compared with Hovorka's model: fixed before it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.glucose.rules import STEPS_PER_HOUR, daily_insulin
from twingym.twins.scales import Floats

HISTORY = 6 * STEPS_PER_HOUR
EFFECT = 4 * STEPS_PER_HOUR
CARB_FACTOR = 450.0


def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
    """Basal and meal boluses by the announced carbohydrates, times 0.7 to 1.3 for each person; never corrected."""
    bolus = STEPS_PER_HOUR * inputs[:, :-1, 1] * daily_insulin(traits)[:, None] / CARB_FACTOR
    return np.asarray(((traits["basal"][:, None] + bolus) * (0.7 + 0.6 * u[:, None]))[..., None])


def largest_bolus(inputs: Floats, delivered: Floats) -> NDArray[np.int64]:
    """Step of the largest bolus that has six hours before it and four after."""
    amounts = delivered[..., 0].copy()
    amounts[:, :HISTORY] = 0.0
    amounts[:, -EFFECT:] = 0.0
    return np.asarray(amounts.argmax(axis=1))


def times(factor: float) -> Callable[[Floats, int], Floats]:
    """Return the dose that multiplies what was delivered in the branch's first step."""

    def dose(amounts: Floats, since: int) -> Floats:
        return amounts * factor if since == 0 else amounts

    return dose


PLAN = FidelityPlan(
    variable="cgm",
    history=HISTORY,
    horizons={"1 hour": STEPS_PER_HOUR, "4 hours": 4 * STEPS_PER_HOUR},
    coverage={"5 minutes": 1, "1 hour": STEPS_PER_HOUR, "1 day": 24 * STEPS_PER_HOUR},
    schedule=schedule,
    branch=largest_bolus,
    doses={"bolus x1": times(1.0), "bolus x0": times(0.0), "bolus x0.5": times(0.5), "bolus x1.5": times(1.5)},
    effect_steps=EFFECT,
    policies={
        "constant basal": ("constant_basal", {}),
        "basal-bolus 300": ("basal_bolus", {"carb_factor": 300.0}),
        "basal-bolus 400": ("basal_bolus", {"carb_factor": 400.0}),
        "basal-bolus 500": ("basal_bolus", {}),
        "basal-bolus 650": ("basal_bolus", {"carb_factor": 650.0}),
        "basal-bolus 900": ("basal_bolus", {"carb_factor": 900.0}),
        "low-glucose suspend": ("low_glucose_suspend", {}),
        "PID": ("pid", {}),
    },
    metric="time_in_range",
    tolerance=0.03,
    policy_steps=3 * 24 * STEPS_PER_HOUR,
    drift="basal_bolus",
    drift_tolerance=10.0,
    shift=lambda amounts, factor: amounts * factor[:, None, None],
)
