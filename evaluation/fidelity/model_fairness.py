"""Is the twin model as good for one group of people as for another?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twingym.evaluation.fidelity.calibration import LEAST_GROUP


def model_fairness(calibrated: Mapping[str, Any], valued: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the largest gaps between two groups of people, over all horizons and all policies.

    Args:
        calibrated: From :func:`~twingym.evaluation.fidelity.calibration.calibration`.
        valued: From :func:`~twingym.evaluation.fidelity.policy_values.policy_values`.

    Returns:
        Trait -> ``crps`` (over the smaller one's) and ``coverage`` of 90 %, each with the ``steps`` ahead where it is
        largest, between groups of at least 200 people; None where fewer than two are large enough. ``value``: the
        largest gap of a policy's error, [gap, low, high], with the ``policy``; None with fewer than two groups.
    """
    report: dict[str, dict[str, Any]] = {}
    for trait, levels in calibrated["groups"].items():
        scores: dict[str, float] = {}
        shares: dict[str, float] = {}
        for step in next(iter(levels.values())):
            large = [by_step[step] for by_step in levels.values() if by_step[step]["people"] >= LEAST_GROUP]
            if len(large) < 2:
                continue
            crps = [found["crps"] for found in large]
            coverage = [found["coverage"]["0.9"][0] for found in large]
            scores[step] = max(crps) / min(crps) - 1.0 if min(crps) > 0.0 else 0.0
            shares[step] = max(coverage) - min(coverage)
        groups = valued["groups"][trait]
        report[trait] = {
            "crps": _largest(scores),
            "coverage": _largest(shares),
            "value": groups["gaps"] and {"gap": groups["gaps"][groups["worst"]], "policy": groups["worst"]},
        }
    return report


def _largest(gaps: Mapping[str, float]) -> dict[str, Any] | None:
    """Return the largest gap and how many steps ahead it is."""
    if not gaps:
        return None
    step = max(gaps, key=lambda s: gaps[s])
    return {"gap": gaps[step], "steps": int(step)}
