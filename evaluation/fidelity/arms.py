"""What do interventions do in a twin model, in its challenger, and between the arms that were recorded?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twingym.evaluation.fidelity.held_out import SEED, recorded_of
from twingym.evaluation.fidelity.replay import draw_inputs, step_noise
from twingym.evaluation.fidelity.simple_forecasts import last_known
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.model import TwinModel
from twingym.twins.scales import Floats

PEOPLE = 400


def arms(scenario: Scenario, models: Mapping[str, TwinModel]) -> dict[str, Any]:
    """Compare the levels of each intervention that ever varied, over the plan's ``effect_steps`` from entry.

    Args:
        scenario: From a table.
        models: Twin model, and challenger if there is one, by name.

    Returns:
        intervention -> level (against the first) -> variable or event -> by model ``[effect, least, most]`` of its
        heads and, for what was given by lot, ``recorded``: the difference of the arms with its 95 % interval and how
        many people were in them.
    """
    recorded, found = recorded_of(scenario), {}
    plan = recorded.held_out
    for k, intervention in enumerate(scenario.interventions):
        if intervention.name in recorded.never_varied:
            continue
        doses = _doses(intervention, recorded.courses.delivered[..., k])
        outcomes = {name: _outcomes(scenario, model.dynamics(reveal=True), k, doses) for name, model in models.items()}
        first, *others = doses
        found[intervention.name] = {
            other: {
                variable: {
                    name: _spread(by_dose[other][variable] - by_dose[first][variable])
                    for name, by_dose in outcomes.items()
                }
                | _recorded(scenario, k, doses[first], doses[other], variable, intervention.name in plan.randomised)
                for variable in next(iter(outcomes.values()))[first]
            }
            for other in others
        }
    return found


def _doses(intervention: Intervention, delivered: Floats) -> dict[str, float]:
    if intervention.levels:
        return {level: float(number) for number, level in enumerate(intervention.levels)}
    low, high = np.quantile(delivered, [0.1, 0.9])
    return {
        f"{low:.3g} {intervention.unit}".strip(): float(low),
        f"{high:.3g} {intervention.unit}".strip(): float(high),
    }


def _outcomes(
    scenario: Scenario, dynamics: Dynamics, column: int, doses: Mapping[str, float]
) -> dict[str, dict[str, Floats]]:
    """Return dose -> variable or event -> its mean at the end by head, (M,), for the same people with the same luck."""
    plan, ids = recorded_of(scenario).held_out, people("test", PEOPLE)
    cohort = scenario.people.sample(ids)
    inputs = draw_inputs(scenario, cohort, SEED, plan.effect_steps)
    heads = dynamics.heads if isinstance(dynamics, Uncertain) else 1
    names = [v.name for v in scenario.variables]
    wanted = [*plan.variables, *(v.name for v in scenario.events)]
    found: dict[str, dict[str, Floats]] = {}
    for label, dose in doses.items():
        by_head = np.empty((heads, len(wanted)))
        for head in range(heads):
            state, observed = dynamics.initial(cohort, inputs[:, 0], step_noise(dynamics, ids, SEED, 0))
            if isinstance(dynamics, Uncertain):
                state = dynamics.bind(state, np.full(len(ids), head))
            action = np.zeros((len(ids), len(scenario.interventions)))
            action[:, column] = dose
            ended = np.zeros((len(ids), len(names)), dtype=bool)
            for t in range(plan.effect_steps):
                noise = step_noise(dynamics, ids, SEED, t + 1)
                state, observed = dynamics.step(state, action, inputs[:, t], noise)
                for k, v in enumerate(scenario.variables):
                    if v.kind == "event":
                        ended[:, k] |= observed[:, k] > 0
            over = ended.any(axis=1)
            for place, name in enumerate(wanted):
                k = names.index(name)
                event = scenario.variables[k].kind == "event"
                by_head[head, place] = ended[:, k].mean() if event else observed[~over, k].mean()
        found[label] = {name: by_head[:, place] for place, name in enumerate(wanted)}
    return found


def _spread(effects: Floats) -> list[float]:
    return [float(effects.mean()), float(effects.min()), float(effects.max())]


def _recorded(
    scenario: Scenario, column: int, first: float, other: float, variable: str, randomised: bool
) -> dict[str, Any]:
    """Return the difference of the arms as recorded, if people were put into them by lot."""
    if not randomised:
        return {}
    recorded = recorded_of(scenario)
    courses, steps = recorded.courses, recorded.held_out.effect_steps
    k = [v.name for v in scenario.variables].index(variable)
    if scenario.variables[k].kind == "event":
        happened = np.nansum(courses.observed[:, : steps + 1, k], axis=1)
        known = (courses.length >= steps) | (happened > 0)
        outcome = np.where(known, happened, np.nan)
    else:
        outcome = last_known(courses.observed[:, 1 : steps + 1, k], np.nan)
    arm = [outcome[(courses.delivered[:, 0, column] == dose) & np.isfinite(outcome)] for dose in (first, other)]
    effect = arm[1].mean() - arm[0].mean()
    error = np.sqrt(sum(a.var(ddof=1) / len(a) for a in arm))
    interval = [float(effect), float(effect - 1.96 * error), float(effect + 1.96 * error)]
    return {"recorded": interval, "in_arms": [len(a) for a in arm]}
