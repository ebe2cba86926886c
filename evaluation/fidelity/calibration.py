"""Do forecasts mean what they say: how often does what happens fall where the twin model says it will?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import kstest

from twingym.evaluation.bounds import share_of
from twingym.evaluation.fidelity.ensembles import Ensembles
from twingym.evaluation.fidelity.recalibration_gain import recalibration_gain
from twingym.evaluation.fidelity.scores import central, crps, energy_score, rank, ties, uniform_distance
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats

LEVELS = (0.5, 0.8, 0.9, 0.95)
HORIZONS = (1, 2, 4, 8, 16, 32)
BINS = 10
LEAST_GROUP = 200  # people; of fewer, coverage is not known to 5 points


def calibration(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    ids: Ids,
    seed: int,
    samples: int,
    learners: Ids | None = None,
) -> dict[str, Any]:
    """Judge forecasts of every variable that both worlds know, at several horizons, from futures drawn once.

    A place of the truth among samples (the probability integral transform, ties broken at random) is uniform if the
    forecast is right, whatever the number of samples.

    Args:
        scenario: A scenario with a reference, which makes the courses.
        plan: The open-loop schedule, the history, and the plan's own horizons.
        dynamics: The twin model.
        ids: Held-out people, one forecast each.
        seed: Of the courses and of luck.
        samples: Futures per person.
        learners: People of the validation split, to tell what recalibration would gain.

    Returns:
        ``variables``: variable -> steps ahead -> ``crps``, ``coverage`` (level -> [estimate, low, high]), ``pce`` (mean
        distance of the ranks' distribution from uniform), ``ks`` and its ``ks_p``, ``variance_ratio`` (of all futures
        over what happened) and ``people``; ``energy``: steps ahead -> energy score of the joint state in standard
        deviations (Gneiting and Raftery 2007, J. Am. Stat. Assoc. 102:359); ``pit``: steps ahead -> shares of the
        plan's variable in ten bins; ``groups``: trait -> level -> steps ahead -> ``people``, ``crps``, ``coverage``
        and ``pit``; ``recalibration``: of :func:`~twingym.evaluation.fidelity.recalibration_gain.recalibration_gain`,
        None without learners.
    """
    horizons = tuple(sorted({*HORIZONS, *plan.horizons.values()}))
    drawn = Ensembles.draw(scenario, plan, dynamics, ids, seed, samples, horizons)
    tie = ties(seed, drawn.ids)
    labels = {
        trait: np.asarray(levels)[drawn.traits[trait].astype(int)] for trait, levels in scenario.group_levels.items()
    }
    report: dict[str, Any] = {
        "people": len(drawn),
        "samples": samples,
        "variables": {name: {} for name in drawn.names},
        "energy": {},
        "pit": {},
        "groups": {trait: {level: {} for level in levels} for trait, levels in scenario.group_levels.items()},
        "recalibration": None,
    }
    if learners is not None:
        learned = Ensembles.draw(scenario, plan, dynamics, learners, seed, samples, horizons)
        report["recalibration"] = recalibration_gain(drawn, learned, plan.variable, LEVELS, seed)
    for step in horizons:
        there = drawn.lasting(plan.variable, step)
        futures, truth = drawn.futures[step][:, there], drawn.truth[step][there]  # (S, N, V), (N, V)
        scores = {name: crps(futures[..., k], truth[:, k]) for k, name in enumerate(drawn.names)}
        ranks = {name: rank(futures[..., k], truth[:, k], tie[there]) for k, name in enumerate(drawn.names)}
        for k, name in enumerate(drawn.names):
            report["variables"][name][str(step)] = {
                **_reliability(ranks[name]),
                "crps": float(scores[name].mean()),
                "variance_ratio": _ratio(float(np.nanvar(futures[..., k])), float(truth[:, k].var())),
            }
        report["energy"][str(step)] = float(energy_score(futures, truth).mean())
        places = ranks[plan.variable]
        report["pit"][str(step)] = _pit(places)
        for trait, of in labels.items():
            for level, found in report["groups"][trait].items():
                rows = np.flatnonzero(of[there] == level)
                found[str(step)] = {
                    "people": len(rows),
                    "crps": float(scores[plan.variable][rows].mean()) if len(rows) else None,
                    "coverage": _coverage(places[rows]) if len(rows) else None,
                    "pit": _pit(places[rows]) if len(rows) else None,
                }
    return report


def worst_coverage(block: dict[str, Any], variable: str) -> tuple[float, float | None]:
    """Return the largest distance of coverage from its level: of everybody, and of a group of at least 200 people.

    Args:
        block: From :func:`calibration`.
        variable: Whose forecasts.

    Returns:
        Over all levels and horizons; the second is None if no group is large enough.
    """
    everybody = [_miss(found["coverage"]) for found in block["variables"][variable].values()]
    groups = [
        _miss(found["coverage"])
        for levels in block["groups"].values()
        for by_step in levels.values()
        for found in by_step.values()
        if found["people"] >= LEAST_GROUP
    ]
    return max(everybody), max(groups, default=None)


def _miss(coverage: dict[str, list[float]]) -> float:
    return max(abs(share - float(level)) for level, (share, _, _) in coverage.items())


def _coverage(ranks: Floats) -> dict[str, list[float]]:
    """Share of ranks in each central interval, with its exact 95 % interval."""
    found = {}
    for level in LEVELS:
        found[str(level)] = share_of(central(ranks, level).astype(np.float64)).bounded()
    return found


def _pit(ranks: Floats) -> list[float]:
    """Share of ranks in each of ten bins: each a tenth if the forecast is right."""
    return [float(count) / len(ranks) for count in np.histogram(ranks, BINS, (0.0, 1.0))[0]]


def _reliability(ranks: Floats) -> dict[str, Any]:
    test = kstest(ranks, "uniform")
    return {
        "people": len(ranks),
        "coverage": _coverage(ranks),
        "pce": uniform_distance(ranks),
        "ks": float(test.statistic),
        "ks_p": float(test.pvalue),
    }


def _ratio(variance: float, truth: float) -> float | None:
    """Ratio of variances; None where what happened does not vary."""
    return float(variance / truth) if truth > 0.0 else None
