"""A scenario with a laboratory value that is measured more often in the sick, and more often on one ward."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twingym.scenarios import Constraint, Intervention, Rule, Scenario, Step, Values, Variable
from twingym.twins.cohort import Cohort, Population
from twingym.twins.dynamics import ArrayDynamics
from twingym.twins.scales import Floats

ORDER = 0.25  # more of being measured for whoever is treated


class WardReference(ArrayDynamics):
    """Lactate that falls under treatment; who had much when it was last measured is measured again soon.

    The state holds lactate, its last measured value, and the ward.
    """

    noise_width = 3

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        ward = np.asarray(cohort.traits["ward"])
        lactate = 2.0 + 3.0 * noise[:, 0] + ward
        return np.stack([lactate, lactate, ward]), np.stack([lactate, noise[:, 2]], axis=1)

    def step(self, state: Floats, action: Floats, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        lactate, known, ward = state
        lactate = np.clip(lactate + 0.1 * (3.5 + ward - lactate) - 0.5 * action[:, 0] + noise[:, 0] - 0.5, 0.0, 10.0)
        measured = noise[:, 1] < np.clip(0.1 * (known - 1.0) + 0.2 * ward + ORDER * action[:, 0], 0.02, 0.98)
        state = np.stack([lactate, np.where(measured, lactate, known), ward])
        return state, np.stack([np.where(measured, lactate, np.nan), noise[:, 2]], axis=1)


def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    return {"ward": np.full(len(numbers), fixed["ward"]) if "ward" in fixed else np.floor(2.0 * numbers[:, 0])}, {}


def reward(step: Step) -> Floats:
    return -step.delivered["treatment"]


def treated(step: Step) -> Floats:
    return step.delivered["treatment"]


def if_high(now: Values, memory: dict[str, Floats], settings: Mapping[str, float | Floats]) -> dict[str, Floats]:
    return {"treatment": (now["lactate"] > settings["above"]).astype(float)}


def never(now: Values, memory: dict[str, Floats], settings: Mapping[str, float | Floats]) -> dict[str, Floats]:
    return {"treatment": np.zeros(len(now["lactate"]))}


SCENARIO = Scenario(
    id="Ward-v0",
    title="Treat when lactate is high",
    kind="patient",
    dt=1.0,
    dt_unit="h",
    horizon=24,
    people=Population(draw=draw, width=1, seed=3),
    traits=(Variable("ward", kind="categorical", levels=("medical", "surgical")),),
    variables=(
        Variable("lactate", "mmol/L", 0.0, 10.0, change=0.4, intermittent=True),
        Variable("pressure", about="Tells nothing, and is always measured.", change=0.3),
    ),
    interventions=(Intervention("treatment", levels=("no", "yes")),),
    reward=reward,
    constraints=(
        Constraint("treated", treated, 0.5, primary=True),
        Constraint("gap", None, 0.5, kind="group_gap", trait="ward", metric="return"),
    ),
    groups=("ward",),
    reference=WardReference,
    rules={"if_high": Rule(if_high, {"above": 4.0}), "never": Rule(never)},
    baseline="never",
    behaviour={"if_high": 1.0, "never": 1.0},
    window=16,
)
