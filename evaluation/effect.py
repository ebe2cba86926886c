"""What does an intervention do to this person: the twin model's branches against the reference's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twingym.evaluation.replay import Record, bring, record
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats


def branches(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    known: Record,
    at: NDArray[np.int64],
    seed: int,
    samples: int,
) -> dict[str, Floats]:
    """Continue everybody from the same past under each of the plan's doses, with the same luck.

    A twin model's heads take turns over the samples: the effect is that of the model as a whole.

    Args:
        scenario: Whose people these are.
        plan: Doses and length of the branches.
        dynamics: Reference or twin model.
        known: Recorded courses.
        at: Step (N,) at which the dose is changed.
        seed: Of the courses; also of the luck.
        samples: Futures per person and dose.

    Returns:
        Per dose, the variable's mean over the branch and the samples, (N,); its sum over the branch if the plan totals.
    """
    courses, rows = known.courses, np.tile(np.arange(len(known.courses)), samples)
    count, column = len(courses), [v.name for v in scenario.variables].index(plan.variable)
    start = bring(scenario, dynamics, courses, at, seed)
    now, luck = np.tile(at, samples), np.repeat(np.arange(1, samples + 1), count)
    means = {}
    for label, dose in plan.doses.items():
        state, observed = dynamics.take(start, rows), courses.observed[rows, now]
        if isinstance(dynamics, Uncertain):
            state = dynamics.bind(state, luck % dynamics.heads)
        total = np.zeros((samples, count))
        for t in range(plan.effect_steps):
            noise = uniforms(seed, courses.ids[rows], luck, Stream.DYNAMICS, t + 1, dynamics.noise_width)
            amounts = plan.permit(observed, dose(known.intended[rows, now + t], t))
            state, observed = dynamics.step(state, amounts, courses.inputs[rows, now + t], noise)
            total += observed[:, column].reshape(samples, count)
        means[label] = total.mean(axis=0) / (1.0 if plan.total else plan.effect_steps)
    return means


def effects(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int
) -> dict[str, dict[str, float]]:
    """Compare the effect of each dose (against the first) between the twin model and the reference.

    Returns:
        Per dose: mean effect in both, their ratio, the correlation of effects over people, the root mean square error
        ``rmse`` of a person's effect (PEHE, Hill 2011, J. Comput. Graph. Stat. 20:217) and, for scale, the standard
        deviation ``spread`` of the reference's: who gave everybody the mean effect would be wrong by as much.
    """
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference whose branches could be compared with.")
    steps = plan.policy_steps
    known = record(scenario, ids, seed, steps, plan)
    at = plan.branch(known.courses.inputs, known.intended)
    kept = np.flatnonzero((at >= plan.history) & (at + plan.effect_steps <= known.courses.length))
    known, at = known.take(kept), at[kept]
    mine = branches(scenario, plan, dynamics, known, at, seed, samples)
    theirs = branches(scenario, plan, scenario.reference(), known, at, seed, samples)
    given = next(iter(plan.doses))
    report = {}
    for label in list(plan.doses)[1:]:
        effect, truth = mine[label] - mine[given], theirs[label] - theirs[given]
        report[label] = {
            "people": float(len(kept)),
            "effect": float(effect.mean()),
            "reference": float(truth.mean()),
            "ratio": float(effect.mean() / truth.mean()),
            "correlation": _correlation(effect, truth),
            "rmse": float(np.sqrt(((effect - truth) ** 2).mean())),
            "spread": float(truth.std()),
        }
    return report


def _correlation(a: Floats, b: Floats) -> float:
    """Correlation over people; 0 where one does not vary and so tells nobody from anybody else."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0.0 and np.ptp(b) > 0.0 else 0.0
