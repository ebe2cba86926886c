"""What becomes of a few people under a policy, and of a crowd, in numbers that any change of the world moves?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import ArrayLike

from twingym.envs.actions import Actions
from twingym.envs.layout import Observations
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios.scenario import Scenario
from twingym.twins.scales import Floats

TWINS, STEPS, SEED = (3, 14, 159), 24, 7
CROWD = 2000  # people: enough for a share to move by a hundredth, and for somebody to be in every tail
STATISTICS = ("share known", "mean", "standard deviation", "least", "greatest")
# From the env, what policies observe (N, D) and the number of the step to actions (N, ...).
Act = Callable[[TwinVectorEnv, Observations, int], ArrayLike]


def course(
    scenario: Scenario, act: Act, twins: tuple[int, ...] = TWINS, steps: int = STEPS, seed: int = SEED
) -> dict[str, Floats]:
    """Return what becomes of N people over T steps of the reference.

    Returns:
        ``trait <name>`` (N,), ``observed`` (T + 1, N, V), ``inputs`` (T + 1, N, K) where there are any, ``delivered``
        (T, N, A), ``reward`` (T, N) and ``costs`` (T, N, C). Whoever an event takes away is followed by somebody new;
        traits are those of the people at the end.
    """
    env = TwinVectorEnv(scenario, len(twins), dynamics="reference", horizon=steps + 1)
    seen, _ = env.reset(seed=seed, options={"twins": list(twins)})
    made: dict[str, list[Any]] = {"observed": [env.observed.copy()], "inputs": [env.inputs.copy()]}
    for step in range(steps):
        seen, reward, _, _, infos = env.step(act(env, seen, step))
        numbers = {"observed": env.observed.copy(), "inputs": env.inputs.copy(), "delivered": infos["delivered"]}
        for name, values in (numbers | {"reward": reward, "costs": infos["costs"]}).items():
            made.setdefault(name, []).append(values)
    found: dict[str, Any] = {f"trait {trait}": values for trait, values in env.cohort.traits.items()}
    found |= {name: values for name, values in made.items() if name != "inputs" or scenario.inputs}
    return {name: np.asarray(values, dtype=np.float64) for name, values in found.items()}


def columns(scenario: Scenario) -> dict[str, list[str]]:
    """Return what the last axis of each quantity of a course counts."""
    return {
        "observed": [v.name for v in scenario.variables],
        "inputs": [v.name for v in scenario.inputs],
        "delivered": [i.name for i in scenario.interventions],
        "costs": [c.name for c in scenario.costs],
    }


def crowd(scenario: Scenario, steps: int) -> dict[str, Floats]:
    """Return ``STATISTICS`` (5,) of every trait, and of all that becomes of a crowd whose actions go through the range.

    Three people under rules tell little of rare people and of amounts that no rule gives.
    """
    twins, named = tuple(range(CROWD)), columns(scenario)
    traits = scenario.people.sample(np.arange(CROWD)).traits
    found = {f"trait {name}": values for name, values in traits.items()}
    for name, values in course(scenario, through_the_range, twins, steps).items():
        if name in named:
            found |= {f"{name} {column}": values[..., k] for k, column in enumerate(named[name])}
        elif not name.startswith("trait "):
            found[name] = values
    return {name: _statistics(values) for name, values in found.items()}


def through_the_range(env: TwinVectorEnv, seen: Observations, step: int) -> Actions:
    """Return actions that differ between people, steps and interventions and leave out no part of the range."""
    space, slots = env.single_action_space, np.arange(env.num_envs)[:, None]
    column = np.arange(space.shape[0] if space.shape else 1)
    share = (0.618034 * slots + 0.414214 * step + 0.302776 * column) % 1.0  # irrational steps never meet again
    if isinstance(space, Box):
        return 2.0 * share - 1.0
    levels = np.array([len(i.levels) for i in env.scenario.interventions])
    chosen: Actions = np.floor(share * levels).astype(np.int64)
    return chosen if space.shape else chosen[:, 0]


def _statistics(values: Floats) -> Floats:
    known = values[~np.isnan(values)]
    if not known.size:
        return np.array([0.0, *[np.nan] * 4])
    return np.array([known.size / values.size, known.mean(), known.std(), known.min(), known.max()])
