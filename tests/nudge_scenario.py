"""A scenario file with what Glucose lacks: levels, an end at the horizon, a hard constraint, a shown group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twingym.scenarios import Bookkeeping, Constraint, Intervention, Rule, Scenario, Step, Values, Variable
from twingym.twins.cohort import Cohort, Population, Rows
from twingym.twins.scales import Floats

NOTHING, TEXT, CALL = range(3)


class NudgeReference:
    """A mood that contacts lift; who is contacted in a bad mood may quit."""

    noise_width = 3

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        mood = noise[:, 0]
        return mood, np.stack([mood, np.zeros_like(mood), noise[:, 1]], axis=1)

    def step(self, state: Floats, action: Floats, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        contacted = action[:, 0] > 0
        quits = contacted & (state < 0.2) & (noise[:, 1] < 0.5)
        mood = np.clip(state + 0.1 * action[:, 0] + 0.2 * (noise[:, 0] - 0.6), 0.0, 1.0)
        return mood, np.stack([mood, quits.astype(float), noise[:, 2]], axis=1)

    def restart(
        self, state: Floats, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[Floats, Floats]:
        fresh, observed = self.initial(cohort, inputs, noise)
        state = state.copy()
        state[rows] = fresh
        return state, observed

    def take(self, state: Floats, rows: Rows) -> Floats:
        return state[rows]


def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    age = np.full(len(numbers), fixed["age"]) if "age" in fixed else 20.0 + 60.0 * numbers[:, 0]
    return {"age": age, "band": np.searchsorted((40.0, 60.0), age).astype(float)}, {}


def start(now: Values) -> dict[str, Floats]:
    return {"rest": np.full(len(now["mood"]), 5.0)}


def update(memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
    return {"rest": np.where(step.delivered["contact"] > NOTHING, 0.0, np.minimum(memory["rest"] + 1.0, 5.0))}


def rest_a_week(now: Values, amounts: Values) -> Values:
    """Nobody is contacted twice in a row."""
    return Values({"contact": np.where(now["rest"] < 1.0, float(NOTHING), amounts["contact"])})


def reward(step: Step) -> Floats:
    return step.after["mood"]


def contacts(step: Step) -> Floats:
    return (step.delivered["contact"] > NOTHING).astype(float)


def in_a_row(step: Step) -> Floats:
    return contacts(step) * (step.before["rest"] < 1.0)


def always(now: Values, memory: dict[str, Floats], settings: Mapping[str, float | Floats]) -> dict[str, Floats]:
    return {"contact": np.full(len(now["mood"]), settings["level"])}


def every_other(now: Values, memory: dict[str, Floats], settings: Mapping[str, float | Floats]) -> dict[str, Floats]:
    turn = memory["week"] % 2 == 0
    memory["week"] = memory["week"] + 1.0
    return {"contact": np.where(turn, float(TEXT), float(NOTHING))}


SCENARIO = Scenario(
    id="Nudge-v0",
    title="When to nudge",
    kind="consumer",
    dt=1.0,
    dt_unit="week",
    horizon=12,
    ending="end",
    people=Population(draw=draw, width=1, seed=11),
    traits=(
        Variable("age", "years", 20.0, 80.0),
        Variable("band", kind="categorical", levels=("young", "middle", "old")),
    ),
    variables=(
        Variable("mood", track=True),
        Variable("quits", kind="event", audience="twin"),
        Variable("luck", audience="auditor"),
    ),
    derived=(Variable("rest", "weeks", 0.0, 5.0),),
    bookkeeping=Bookkeeping(start, update),
    interventions=(Intervention("contact", levels=("nothing", "text", "call")),),
    reward=reward,
    constraints=(
        Constraint("contacts", contacts, 6.0, kind="cumulative", primary=True),
        Constraint("in_a_row", in_a_row, 0.0, kind="cumulative", hard=True, enforce=rest_a_week),
        Constraint("mood_gap", None, 0.2, kind="group_gap", trait="band", metric="return"),
    ),
    groups=("band",),
    reference=NudgeReference,
    rules={
        "always": Rule(always, {"level": 1.0}),
        "every_other": Rule(every_other, memory=("week",)),
    },
    baseline="every_other",
    behaviour={"always": 1.0, "every_other": 1.0},
)
