"""Which numbers of some episodes go to TensorBoard, and under which tags: the same in training and in comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twingym.evaluation.verdict import limit_of
from twingym.scenarios.constraint import Constraint
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.validation import RETURN_METRIC
from twingym.twins.scales import Floats

# One array (E,) per name; the names are those of the terminal info of an episode.
Columns = Mapping[str, NDArray[Any]]


def episode_columns(scenario: Scenario) -> list[str]:
    """Return the entries of an episode's terminal info that :func:`scalars` reads."""
    costs = [f"cost_return_{constraint.name}" for constraint in scenario.costs]
    groups = [f"group_{name}" for name in scenario.groups]
    return ["episode_return", "episode_length", "disagreement", *costs, *groups]


def scalars(scenario: Scenario, episodes: Columns) -> dict[str, float]:
    """Return scalars by tag.

    ``policy/reward_per_step``; ``constraint/<name>/cost_return`` and ``limit``, both in the constraint's own unit: a
    ``rate`` per step, a ``chance`` as a share of people, else (the return too) summed over the episode;
    ``violation_rate``, the share of episodes that exceed the limit on their own; ``fairness/<trait>/gap`` and
    ``worst``, of the reward per step between groups; ``twin/disagreement`` where the dynamics knows it.

    Args:
        scenario: Whose constraints and groups.
        episodes: The columns of :func:`episode_columns` of E episodes, and those metrics that are known.
    """
    length = episodes["episode_length"]
    known = {m.name: episodes[m.name] for m in scenario.metrics if m.name in episodes}
    known[RETURN_METRIC] = episodes["episode_return"]
    per_step = episodes["episode_return"] / length
    found = {"policy/reward_per_step": float(per_step.mean())}
    for constraint in scenario.costs:
        total = episodes[f"cost_return_{constraint.name}"]
        own = known[constraint.name] = total / length if constraint.kind == "rate" else total
        found |= _of_constraint(constraint, _estimate(constraint, own))
        found[f"constraint/{constraint.name}/violation_rate"] = float((own > constraint.limit).mean())
    for constraint in scenario.constraints:
        # A gap of a metric is judged when the policy is evaluated: training sees returns and costs.
        if constraint.trait is not None and constraint.metric in known:
            means = _group_means(known[constraint.metric], episodes[f"group_{constraint.trait}"])
            found |= _of_constraint(constraint, max(means) - min(means))
    for trait in scenario.groups:
        means = _group_means(per_step, episodes[f"group_{trait}"])
        found[f"fairness/{trait}/gap"], found[f"fairness/{trait}/worst"] = max(means) - min(means), min(means)
    if np.isfinite(episodes["disagreement"]).any():
        found["twin/disagreement"] = float(np.nanmean(episodes["disagreement"]))
    return found


def _of_constraint(constraint: Constraint, estimate: float) -> dict[str, float]:
    tag = f"constraint/{constraint.name}"
    return {f"{tag}/cost_return": estimate, f"{tag}/limit": limit_of(constraint)}


def _estimate(constraint: Constraint, own: Floats) -> float:
    if constraint.kind == "chance":
        return float((own > constraint.limit).mean())
    if constraint.kind == "cvar":
        worst = max(1, round(constraint.risk * len(own)))
        return float(np.sort(own)[-worst:].mean())
    return float(own.mean())


def _group_means(values: Floats, groups: NDArray[Any]) -> list[float]:
    return [float(values[groups == level].mean()) for level in np.unique(groups)]
