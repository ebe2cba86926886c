"""What comes back when a policy is used on people: their courses, as a model learns from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twingym.envs.vector import TwinVectorEnv
from twingym.evaluation.rollout import Policy
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats

AT_ONCE = 1024  # people


def courses_under(
    policy: Policy,
    scenario: Scenario,
    ids: Ids,
    seed: int = 0,
    horizon: int | None = None,
    dynamics: str | Dynamics = "reference",
) -> Courses:
    """Let a policy treat people, and record their courses; the behaviour is deterministic, so propensities are NaN.

    Args:
        policy: Anything with SB3's ``predict``.
        scenario: Whose people.
        ids: N people.
        seed: Of inputs and noise.
        horizon: Steps; a training episode if None.
        dynamics: The world in which it is used.

    Returns:
        As :func:`~twingym.envs.behaviour.collect` records them: after the end observations are NaN and deliveries 0.
    """
    steps = scenario.horizon if horizon is None else horizon
    parts = [
        _record(policy, scenario, ids[i : i + AT_ONCE], seed, steps, dynamics) for i in range(0, len(ids), AT_ONCE)
    ]
    return Courses(
        np.concatenate([p.ids for p in parts]),
        {name: np.concatenate([p.traits[name] for p in parts]) for name in parts[0].traits},
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("observed", "delivered", "inputs", "propensity", "length")
        ),
    )


def _record(policy: Policy, scenario: Scenario, ids: Ids, seed: int, steps: int, dynamics: str | Dynamics) -> Courses:
    env = TwinVectorEnv(scenario, len(ids), dynamics=dynamics, horizon=steps, autoreset="disabled")
    observations, _ = env.reset(seed=seed, options={"twins": ids})
    if hasattr(policy, "meet"):
        policy.meet(env.cohort)
    observed, inputs, delivered = [env.observed.copy()], [env.inputs.copy()], []
    state, starts = None, np.ones(len(ids), bool)
    for _ in range(steps):
        over = env.over.copy()
        actions, state = policy.predict(observations, state=state, episode_start=starts, deterministic=True)
        observations, *_, infos = env.step(np.asarray(actions))
        delivered.append(infos["delivered"].copy())
        observed.append(np.where(over[:, None], np.nan, env.observed))
        inputs.append(env.inputs.copy())
        starts = np.zeros(len(ids), bool)

    def stacked(series: Sequence[Floats]) -> Floats:
        return np.stack(series, axis=1)

    unknown = np.full((len(ids), steps), np.nan)
    traits = dict(env.cohort.traits)
    return Courses(ids, traits, stacked(observed), stacked(delivered), stacked(inputs), unknown, env.t.copy())
