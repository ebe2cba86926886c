"""A scenario whose people are linear and Gaussian, so that the exact belief about them is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtri

from twingym.scenarios import Bookkeeping, Constraint, Intervention, Rule, Scenario, Step, Values, Variable
from twingym.twins.cohort import Cohort, Population
from twingym.twins.dynamics import ArrayDynamics
from twingym.twins.scales import Floats

KEEPS, GAIN, MOVES, BIRTH = 0.9, 0.5, 1.0, 2.0


class LevelReference(ArrayDynamics):
    """A level that falls back to zero, is pushed by doses and by chance; beyond 12 somebody leaves."""

    noise_width = 1

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        state = BIRTH * ndtri(noise.T)
        return state, self._seen(state)

    def step(self, state: Floats, action: Floats, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        state = KEEPS * state + GAIN * (action.T - 4.0) + MOVES * ndtri(noise.T)
        return state, self._seen(state)

    def _seen(self, state: Floats) -> Floats:
        return np.stack([state[0], np.abs(state[0]) > 12.0], axis=1)


def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    return {"half": np.full(len(numbers), fixed["half"]) if "half" in fixed else np.floor(2.0 * numbers[:, 0])}, {}


def start(now: Values) -> dict[str, Floats]:
    return {"last": now["level"], "rise": np.zeros(len(now["level"]))}


def update(memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
    return {"last": step.after["level"], "rise": step.after["level"] - memory["last"]}


def near_zero(step: Step) -> Floats:
    return -np.abs(step.after["level"])


def high(step: Step) -> Floats:
    return (np.abs(step.after["level"]) > 5.0).astype(float)


def against(now: Values, memory: dict[str, Floats], settings: Mapping[str, float | Floats]) -> dict[str, Floats]:
    return {"dose": np.clip(4.0 - settings["gain"] * now["level"], 0.0, 8.0)}


SCENARIO = Scenario(
    id="Level-v0",
    title="Keep a level near zero",
    kind="patient",
    dt=1.0,
    dt_unit="h",
    horizon=40,
    people=Population(draw=draw, width=1, seed=5),
    traits=(Variable("half", kind="categorical", levels=("left", "right"), audience="twin"),),
    variables=(Variable("level", "mg/L", -50.0, 50.0, track=True), Variable("leaves", kind="event", audience="twin")),
    derived=(Variable("rise", "mg/L", -50.0, 50.0),),
    bookkeeping=Bookkeeping(start, update),
    interventions=(Intervention("dose", "mg", 0.0, 8.0, about="4 mg hold the level."),),
    reward=near_zero,
    constraints=(
        Constraint("high", high, 0.1, unit="share of time", primary=True),
        Constraint("gap", None, 0.5, kind="group_gap", trait="half", metric="return"),
    ),
    groups=("half",),
    reference=LevelReference,
    rules={"nothing": Rule(against, {"gain": 0.0}), "against": Rule(against, {"gain": 1.0})},
    baseline="nothing",
    behaviour={"nothing": 1.0, "against": 1.0},
)
