"""A scenario so small that an agent solves it in seconds: repeat the cue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twingym.scenarios import Constraint, Intervention, Parameter, Rule, Scenario, Step, Values, Variable
from twingym.twins.cohort import Cohort, Population, Rows
from twingym.twins.scales import Floats

LEVELS = ("low", "middle", "high")


@dataclass(frozen=True)
class Constants:
    """What may be varied."""

    choices: bool = False


class MirrorReference:
    """Shows a new cue at each step; nothing that is done matters to it."""

    noise_width = 1

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Cohort, Floats]:
        return cohort, self._cue(noise)

    def step(self, state: Cohort, action: Floats, inputs: Floats, noise: Floats) -> tuple[Cohort, Floats]:
        return state, self._cue(noise)

    def restart(
        self, state: Cohort, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[Cohort, Floats]:
        return state.put(rows, cohort), self._cue(noise)

    def take(self, state: Cohort, rows: Rows) -> Cohort:
        return state.take(rows)

    def _cue(self, noise: Floats) -> Floats:
        return np.stack([noise[:, 0], 1.0 - noise[:, 0]], axis=1)


def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    return {"half": np.full(len(numbers), fixed["half"]) if "half" in fixed else np.floor(2.0 * numbers[:, 0])}, {}


def build(constants: Constants) -> Scenario:
    top = 2.0 if constants.choices else 1.0

    def wanted(values: Values) -> Floats:
        return np.minimum(np.floor(3.0 * values["cue"]), 2.0) if constants.choices else values["cue"]

    def distance(step: Step) -> Floats:
        return np.abs(step.delivered["answer"] - wanted(step.before)) / top

    def reward(step: Step) -> Floats:
        return 1.0 - distance(step)

    def far(step: Step) -> Floats:
        return (distance(step) > 0.4).astype(np.float64)

    def match(now: Values, memory: dict[str, Floats], settings: Mapping[str, float | Floats]) -> dict[str, Floats]:
        return {"answer": wanted(now) + 0.0 * settings["offset"]}

    def nothing(now: Values, memory: dict[str, Floats], settings: Mapping[str, float | Floats]) -> dict[str, Floats]:
        return {"answer": 0.0 * now["cue"]}

    return Scenario(
        id="Mirror-v0",
        title="Repeat the cue",
        kind="consumer",
        dt=1.0,
        dt_unit="s",
        horizon=16,
        people=Population(draw=draw, width=1, seed=7),
        traits=(Variable("half", kind="categorical", levels=("left", "right"), audience="twin"),),
        variables=(Variable("cue", track=True), Variable("hidden_cue", audience="auditor")),
        interventions=(Intervention("answer", levels=LEVELS) if constants.choices else Intervention("answer"),),
        reward=reward,
        constraints=(
            Constraint("far", far, 0.1, unit="share of steps", primary=True),
            Constraint("gap", None, 0.1, kind="group_gap", trait="half", metric="return"),
        ),
        groups=("half",),
        rules={"nothing": Rule(nothing), "match": Rule(match, {"offset": 0.0})},
        baseline="nothing",
        behaviour={"nothing": 1.0, "match": 1.0},
        reference=MirrorReference,
        parameters=constants,
        provenance={"choices": Parameter("", "assumption", "Whether the answer is one of three levels.")},
        rebuild=build,
    )


SCENARIO = build(Constants())
