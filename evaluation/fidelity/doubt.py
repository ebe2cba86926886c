"""Does the disagreement of the heads tell where the twin model is wrong?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from twingym.evaluation.fidelity.forecast import sample
from twingym.evaluation.fidelity.replay import record
from twingym.evaluation.fidelity.scores import rank_correlation
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.scales import Floats


def shifted(plan: FidelityPlan, factors: tuple[float, ...]) -> FidelityPlan:
    """Return the plan with every person's amounts multiplied by one of ``factors``, chosen by the person's uniform."""

    def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
        chosen = np.array(factors)[np.minimum((u * len(factors)).astype(int), len(factors) - 1)]
        return plan.shift(plan.schedule(traits, inputs, u), chosen)

    return replace(plan, schedule=schedule)


def doubt(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int
) -> dict[str, object]:
    """Rank people under shifted policies by the heads' disagreement and by the actual error.

    Every head continues everybody from the same past with the same luck. Disagreement is the spread of the heads' mean
    forecasts, error the distance of their mean from the reference's, both averaged over the branch; the reference runs
    with many runs of luck too, so that what nobody could know does not count.

    Returns:
        ``spearman``: [estimate, low, high]; ``step_spearman``: the same for the disagreement that each step reports,
        averaged over the branch; and the number of people.
    """
    if not isinstance(dynamics, Uncertain) or scenario.reference is None:
        raise TypeError(f"{type(dynamics).__name__} has no disagreement, or {scenario.id} no reference.")
    plan = shifted(plan, plan.shifts)
    known = record(scenario, ids, seed, plan.history + plan.effect_steps, plan)
    known = known.take(np.flatnonzero(known.courses.length > plan.history))
    each = max(2, samples // dynamics.heads)
    runs = [
        sample(scenario, plan, dynamics, known, seed, each, plan.effect_steps, head) for head in range(dynamics.heads)
    ]
    heads = np.stack([_mean_of_finite(futures) for futures, _ in runs])  # (M, N, steps)
    steps = _mean_of_finite(np.concatenate([reported for _, reported in runs]))
    theirs, _ = sample(scenario, plan, scenario.reference(), known, seed, samples, plan.effect_steps)
    error = np.abs(heads.mean(axis=0) - _mean_of_finite(theirs))
    lasting = np.isfinite(error)
    people = np.flatnonzero(lasting.any(axis=1))

    def over_branch(values: Floats) -> Floats:
        return np.asarray((np.where(lasting, values, 0.0).sum(axis=1) / np.maximum(lasting.sum(axis=1), 1))[people])

    found = {
        name: list(rank_correlation(over_branch(spread), over_branch(error), seed))
        for name, spread in (("spearman", heads.std(axis=0)), ("step_spearman", steps))
    }
    return {"people": len(people), **found}


def _mean_of_finite(samples: Floats) -> Floats:
    """Mean over the first axis of what is finite; NaN where nothing is."""
    there = np.isfinite(samples)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, samples, 0.0).sum(axis=0) / there.sum(axis=0))
