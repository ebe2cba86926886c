"""How much does a twin model disagree about what it was fitted on: the scale of reactions to disagreement?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from twingym.envs.doubt import Doubt
from twingym.envs.rule_policy import RulePolicy
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

PEOPLE = 32  # under each rule


def averaged_over(scenario: Scenario) -> int:
    """Return over how many steps disagreement is averaged: a third of the twin model's window."""
    return max(scenario.window // 3, 1)


def calibrated(
    scenario: Scenario,
    dynamics: Dynamics,
    reaction: str,
    *,
    strength: float = 0.1,
    share: float = 0.05,
    every: int = 1,
    horizon: int | None = None,
) -> Doubt:
    """Return a reaction on the scale of what the rules meet that the twin model was fitted on.

    The rules of ``behaviour`` treat people of the split ``validation``, who are met neither in training nor in tests.

    Args:
        scenario: The problem.
        dynamics: Its twin model.
        reaction: See :class:`Doubt`.
        strength: What a step of typical disagreement costs, as a share of what a step earns more under the best of the
            rules than under the worst: of what there is to win, however people differ.
        share: Share of the rules' own episodes that would be cut.
        every: See :class:`Doubt`.
        horizon: Steps; the scenario's if None.

    Raises:
        UnknownNameError: If there is no such reaction.
        SpecError: If the dynamics knows no disagreement, or a number is impossible.
    """
    if not isinstance(dynamics, Uncertain):
        raise SpecError(f"{type(dynamics).__name__} has no heads that could disagree; react to doubt on a twin model.")
    if not strength >= 0.0 or not 0.0 < share < 1.0:
        raise SpecError(f"strength is {strength}, share {share}; allowed: 0 or more, and between 0 and 1.")
    memory = averaged_over(scenario)
    seen = [_visited(scenario, dynamics, rule, horizon) for rule in scenario.behaviour]
    spread = np.concatenate([spreads for spreads, _ in seen])  # (N, T)
    typical = float(np.nanmean(spread))
    at_stake = float(np.ptp([np.nanmean(rewards) for _, rewards in seen]))
    doubt = Doubt(reaction, typical, strength * at_stake, 0.0, memory, every)
    recent = np.full(len(spread), typical)
    highest = recent
    for now in spread.T:
        recent = np.where(np.isfinite(now), doubt.recent(recent, now), recent)
        highest = np.maximum(highest, recent)
    return replace(doubt, limit=float(np.quantile(highest, 1.0 - share)))


def _visited(scenario: Scenario, dynamics: Dynamics, rule: str, horizon: int | None) -> tuple[Floats, Floats]:
    """Disagreement and rewards (N, T) under a rule; NaN after the end."""
    env = TwinVectorEnv(scenario, PEOPLE, dynamics=dynamics, autoreset="disabled", horizon=horizon)
    observations, _ = env.reset(seed=0, options={"twins": people("validation", PEOPLE)})
    policy, memory, starts = RulePolicy(scenario, rule), None, np.ones(PEOPLE, bool)
    spreads, rewards = [], []
    for _ in range(env.horizon):
        live = ~env.over
        actions, memory = policy.predict(observations, memory, starts)
        observations, reward, *_, infos = env.step(actions)
        starts = np.zeros(PEOPLE, bool)
        spreads.append(np.where(live, infos["disagreement"], np.nan))
        rewards.append(np.where(live, reward, np.nan))
    return np.stack(spreads, axis=1), np.stack(rewards, axis=1)
