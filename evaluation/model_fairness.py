"""Is the twin model itself as good for one group of people as for another?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.bounds import mean_of
from twingym.evaluation.calibration import LEAST_GROUP
from twingym.evaluation.resampling import groups_of
from twingym.evaluation.rollout import evaluate
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics


def model_fairness(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, calibrated: Mapping[str, Any]
) -> dict[str, Any]:
    """Compare groups in forecast error, coverage and the value of the baseline policy.

    Args:
        scenario: A scenario with a reference.
        plan: Which metric values policies.
        dynamics: The twin model.
        ids: Held-out people on whom the baseline is judged, with the same luck on both.
        seed: Of luck.
        calibrated: From :func:`~twingym.evaluation.calibration.calibration`.

    Returns:
        ``value_error``: trait -> level -> [mean of twin model minus reference, low, high]; ``worst``: trait -> the
        largest difference between two groups of at least 200 people in ``crps`` (over the smaller one's), ``coverage``
        of 90 %, and ``value``; None where fewer than two groups are large enough.
    """
    policy = RulePolicy(scenario, scenario.baseline)
    mine, theirs = (
        evaluate(policy, scenario, ids, (seed,), dynamics=world, horizon=plan.policy_steps)
        for world in (dynamics, "reference")
    )
    error = (mine.measure(plan.metric) - theirs.measure(plan.metric))[:, 0]  # (N,)
    report: dict[str, Any] = {"value_error": {}, "worst": {}}
    for trait, levels in calibrated["groups"].items():
        rows = groups_of(mine.labels(trait))
        estimates = {level: mean_of(error[found]) for level, found in rows.items()}
        report["value_error"][trait] = {level: estimate.bounded() for level, estimate in estimates.items()}
        crps, coverage = [], []
        steps = {step for by_step in levels.values() for step in by_step}
        for step in steps:
            large = [by_step[step] for by_step in levels.values() if by_step[step]["people"] >= LEAST_GROUP]
            if len(large) < 2:
                continue
            scores = [found["crps"] for found in large]
            shares = [found["coverage"]["0.9"][0] for found in large]
            crps.append(max(scores) / min(scores) - 1.0 if min(scores) > 0.0 else 0.0)
            coverage.append(max(shares) - min(shares))
        values = [estimates[level].value for level, found in rows.items() if len(found) >= LEAST_GROUP]
        report["worst"][trait] = {
            "crps": max(crps, default=None),
            "coverage": max(coverage, default=None),
            "value": float(np.ptp(values)) if len(values) > 1 else None,
        }
    return report
