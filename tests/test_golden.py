"""Does each shipped scenario still give the course that it gave when its version was set?

A change that is meant rewrites the file (``pytest --golden``) and raises the scenario's version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import ArrayLike

from twingym.envs.vector import TwinVectorEnv
from twingym.evaluation.checks.golden_course import course
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships

STEPS, TWINS, SEED = 40, (3, 14, 159), 7
SHIPPED = [name for name in names() if ships(name)]


def actions_of(env: TwinVectorEnv, step: int) -> ArrayLike:
    """A fixed sequence that differs between steps and people and uses the whole range."""
    slots = np.arange(env.num_envs)
    intervention = env.scenario.interventions[0]
    if intervention.categorical:
        return (step + slots) * 7 % 11 % len(intervention.levels)
    # Mostly about the basal rate, with a bolus now and then.
    return np.where((step + 5 * slots) % 13 == 0, 0.5, -0.4 + 0.05 * np.sin(step + slots))[:, None]


@pytest.mark.parametrize("name", SHIPPED)
def test_reference_course(name: str, golden: Callable[[str, Mapping[str, ArrayLike]], None]) -> None:
    scenario = get(name)
    found = course(scenario, lambda env, seen, step: actions_of(env, step), TWINS, STEPS, SEED)
    golden(name, found)
