"""Does more of a treatment do to people in the twin model what it does on the reference, from nothing to too much?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from twingym.evaluation.bounds import mean_of
from twingym.evaluation.fidelity.forecast import sample
from twingym.evaluation.fidelity.policy_values import order
from twingym.evaluation.fidelity.replay import record_beyond
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats


def dose_response(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int
) -> dict[str, Any]:
    """Follow everybody from the same past under each of the plan's factors on what was scheduled.

    Args:
        scenario: A scenario with a reference.
        plan: Schedule, factors and length of the branches.
        dynamics: The twin model.
        ids: Held-out people.
        seed: Of courses and luck.
        samples: Futures per person and factor.

    Returns:
        ``curve``: factor -> the variable's mean over the branch (its total if the plan totals) in ``twin`` and
        ``reference``, and their ``difference`` [mean, low, high] over people; ``tau`` of the curve's order with the
        reference's, over the ``pairs`` of factors that the reference tells apart; and ``people``.
    """
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference whose curve could be compared with.")
    known = record_beyond(scenario, ids, seed, plan.effect_steps, plan)
    worlds = {"twin": dynamics, "reference": scenario.reference()}
    values: dict[str, dict[str, Floats]] = {name: {} for name in worlds}
    for factor in sorted(plan.shifts):
        intended = known.intended.copy()
        given = plan.shift(known.intended, np.full(len(ids := known.courses.ids), factor))
        intended[:, plan.history :] = given[:, plan.history :]
        for name, world in worlds.items():
            changed = replace(known, intended=intended)
            futures, _ = sample(scenario, plan, world, changed, seed, samples, plan.effect_steps)  # (S, N, T)
            lived = np.nanmax(futures, axis=2) if plan.total else np.nanmean(futures, axis=2)  # until an event
            values[name][f"{factor:g}"] = lived.mean(axis=0)
    curve = {
        factor: {
            "twin": float(mine.mean()),
            "reference": float(values["reference"][factor].mean()),
            "difference": mean_of(mine - values["reference"][factor]).bounded(),
        }
        for factor, mine in values["twin"].items()
    }
    ranked = order(values["twin"], values["reference"])
    return {"people": len(ids), "curve": curve, "tau": ranked["tau"], "pairs": ranked["pairs"]}
