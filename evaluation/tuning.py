"""Which settings of a rule suit everybody, or each person, best?"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twingym.envs.dynamics import resolve
from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.episodes import counted
from twingym.evaluation.rollout import BATCH, Visit, play
from twingym.evaluation.verdict import estimator, limit_of
from twingym.scenarios.registry import get
from twingym.scenarios.rule import Rule
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import checked_ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

DAYS = 3
# Judged episodes are number 0: tuning lives through another one.
OTHER_EPISODE = 1


def tune(
    scenario: Scenario | str | Path,
    rule: str | Rule,
    ids: ArrayLike,
    seed: int = 0,
    horizon: int | None = None,
    *,
    dynamics: str | Dynamics = "reference",
    per_person: bool | None = None,
    batch: int = BATCH,
) -> RulePolicy:
    """Search a rule's grid on other days than the judged ones.

    For everybody together: the settings with the best mean reward per step among those that keep the primary limit,
    else those with the least primary cost. Per person the same, with the person's own reward and cost.

    Args:
        scenario: A scenario, its id, or the path of its file.
        rule: A rule with a ``grid``, or its name.
        ids: People to tune on; per person, those who will be judged.
        seed: Seed of inputs and noise.
        horizon: Steps; three training episodes if None, at most the judged horizon.
        dynamics: ``reference``, ``transformer``, or an object.
        per_person: Whether everybody gets settings of their own; as the rule declares if None.
        batch: The most people times grid points at a time.

    Returns:
        The tuned policy; with settings per person it looks them up when it meets a cohort.

    Raises:
        SpecError: If the rule has no grid.
    """
    found = scenario if isinstance(scenario, Scenario) else get(scenario)
    searched = found.rule(rule) if isinstance(rule, str) else rule
    points = grid_points(searched)
    people = checked_ids(ids)
    steps = min(DAYS * found.horizon, found.judged_horizon) if horizon is None else horizon
    mover, primary = resolve(found, dynamics), found.primary
    rewards, costs = np.empty((len(people), len(points))), np.empty((len(people), len(points)))
    # A batch holds all grid points of some people, so that a person's days are drawn in one place.
    shards = np.array_split(np.arange(len(people)), -(-len(people) * len(points) // max(batch, len(points))))
    for rows in shards:
        slots = np.repeat(people[rows], len(points))
        settings = {name: np.tile([p[name] for p in points], len(rows)) for name in points[0]}
        visit = Visit(found, mover, slots, seed, steps, episode=OTHER_EPISODE)
        tally, _ = play(RulePolicy(found, searched.with_settings(**settings)), visit)
        cost = counted(primary, tally.total(f"cost_{primary.name}"), tally.steps.astype(np.float64))
        rewards[rows] = (tally.total("return") / tally.steps).reshape(len(rows), -1)
        costs[rows] = cost.reshape(len(rows), -1)
    if searched.per_person if per_person is None else per_person:
        limit = 0.0 if primary.kind == "chance" else primary.limit
        best = np.array([_best(r, c, limit) for r, c in zip(rewards, costs, strict=True)])
        own: dict[str, Any] = {
            name: {int(i): points[b][name] for i, b in zip(people, best, strict=True)} for name in points[0]
        }
        return RulePolicy(found, searched, own)
    together = np.array([estimator(primary)(costs[:, [g]]).value for g in range(len(points))])
    shared = points[_best(rewards.mean(axis=0), together, limit_of(primary))]
    return RulePolicy(found, replace(searched, per_person=False).with_settings(**shared))


def grid_points(rule: Rule) -> list[dict[str, float]]:
    """Return every combination of the grid's values.

    Raises:
        SpecError: If the rule has no grid.
    """
    if not rule.grid:
        raise SpecError("rule has no grid; declare grid={setting: (values, ...)} to tune it.")
    return [dict(zip(rule.grid, values, strict=True)) for values in product(*rule.grid.values())]


def _best(rewards: Floats, costs: Floats, limit: float) -> int:
    """Return the best reward within the limit, else the least cost (and the best reward among equals)."""
    kept: NDArray[np.bool_] = costs <= limit
    if kept.any():
        return int(np.where(kept, rewards, -np.inf).argmax())
    return int(np.where(costs == costs.min(), rewards, -np.inf).argmax())
