"""Does the twin model order policies as the reference does, and how far is each value off?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.bounds import gap_of, mean_of
from twingym.evaluation.resampling import bootstrap, groups_of
from twingym.evaluation.rollout import evaluate
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats

RESAMPLES = 500
LEAST_PEOPLE = 10  # of a group: of fewer, nothing can be said
CLOSE = 0.2  # pairs within this share of the range are the hard ones


def planned(scenario: Scenario, plan: FidelityPlan) -> dict[str, RulePolicy]:
    """Return the plan's rules with their settings, by name."""
    return {
        name: RulePolicy(scenario, scenario.rule(rule).with_settings(**dict(settings)))
        for name, (rule, settings) in plan.policies.items()
    }


def policy_values(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    policies: Mapping[str, Any],
    ids: Ids,
    seeds: Sequence[int],
    anchor: Ids | None = None,
) -> dict[str, Any]:
    """Evaluate policies on both dynamics, with the same people and luck.

    Where people differ much more than policies do, a policy's value is mostly who was met: with ``anchor``, the first
    policy is evaluated on these people too, and a policy's value is its value there plus the paired difference from it.

    Args:
        scenario: A scenario with a reference.
        plan: Which rules, which metric, for how long.
        dynamics: The twin model.
        policies: Further policies (anything with ``predict``) by name.
        ids: Held-out people.
        seeds: Runs of luck per person.
        anchor: Many more held-out people.

    Returns:
        ``values``: per policy [twin model, reference, standard error of the reference]; ``tau`` (0 if there are none)
        over the ``pairs`` that the reference resolves (difference beyond two standard errors of the paired difference),
        of which ``close_pairs`` lie within a fifth of the range; ``regret`` at 1 as a share of the range; ``worst``:
        largest absolute error; ``groups``: per trait, see :func:`by_group`.
    """
    everything = {**planned(scenario, plan), **policies}
    labels: dict[str, NDArray[np.str_]] = {}

    def by_person(name: str, who: Ids, world: str | Dynamics) -> Floats:
        result = evaluate(everything[name], scenario, who, seeds, dynamics=world, name=name, horizon=plan.policy_steps)
        if who is ids:
            labels.update({trait: result.labels(trait) for trait in scenario.groups})
        return np.asarray(result.column(plan.metric).mean(axis=1))

    def judged(world: str | Dynamics) -> tuple[dict[str, Floats], dict[str, float]]:
        """Values by person, and standard errors of their means, per policy."""
        values = {name: by_person(name, ids, world) for name in everything}
        if anchor is None:
            return values, {name: _error(v) for name, v in values.items()}
        first = next(iter(values.values()))
        many = by_person(next(iter(values)), anchor, world)
        errors = {name: float(np.hypot(_error(many), _error(v - first))) for name, v in values.items()}
        return {name: v + (many.mean() - first.mean()) for name, v in values.items()}, errors

    (mine, _), (theirs, errors) = judged(dynamics), judged("reference")
    return {
        "values": {
            name: [
                float(mine[name].mean()),
                float(theirs[name].mean()),
                errors[name],
            ]
            for name in everything
        },
        **order(mine, theirs),
        "groups": {trait: by_group(mine, theirs, of) for trait, of in labels.items()},
    }


def by_group(mine: Mapping[str, Floats], theirs: Mapping[str, Floats], labels: NDArray[np.str_]) -> dict[str, Any]:
    """Compare the errors of policies' values between groups of people.

    Args:
        mine: Values by person on the twin model, per policy, (N,).
        theirs: The same on the reference.
        labels: Group of each person, (N,).

    Returns:
        ``people`` per group of at least ten; ``errors``: policy -> group -> twin model minus reference, [mean, low,
        high]; ``gaps``: policy -> [largest difference between two groups' errors, low, high], whose lower end holds for
        all pairs at once; ``worst``: the policy with the largest gap. Both are None with fewer than two groups.
    """
    groups = {level: rows for level, rows in groups_of(labels).items() if len(rows) >= LEAST_PEOPLE}
    errors = {name: mine[name] - theirs[name] for name in theirs}
    found: dict[str, Any] = {
        "people": {level: len(of) for level, of in groups.items()},
        "errors": {
            name: {level: mean_of(error[of]).bounded() for level, of in groups.items()}
            for name, error in errors.items()
        },
        "gaps": None,
        "worst": None,
    }
    if len(groups) < 2:
        return found
    rows = list(groups.values())
    drawn = bootstrap(np.stack(list(errors.values()), axis=1), rows, draws=RESAMPLES)
    gaps = {name: gap_of(error, rows, drawn=drawn.only(k)).bounded() for k, (name, error) in enumerate(errors.items())}
    return {**found, "gaps": gaps, "worst": max(gaps, key=lambda name: gaps[name][0])}


def _error(values: Floats) -> float:
    """Standard error of the mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def order(mine: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> dict[str, float]:
    """Kendall's tau of mean values over the pairs that the reference resolves; see :func:`policy_values`."""
    means = {name: float(values.mean()) for name, values in theirs.items()}
    spread = max(means.values()) - min(means.values())
    agree = pairs = close = 0
    for a, b in combinations(theirs, 2):
        paired = theirs[a] - theirs[b]
        if abs(paired.mean()) <= 2.0 * _error(paired):
            continue
        pairs += 1
        close += abs(paired.mean()) <= CLOSE * spread
        agree += int(np.sign(mine[a].mean() - mine[b].mean()) == np.sign(paired.mean()))
    best = max(mine, key=lambda name: float(mine[name].mean()))
    return {
        "tau": float(2.0 * agree / pairs - 1.0) if pairs else 0.0,
        "pairs": pairs,
        "close_pairs": int(close),
        "worst": max(abs(float(mine[name].mean()) - means[name]) for name in theirs),
        "regret": (max(means.values()) - means[best]) / spread if spread else 0.0,
    }
