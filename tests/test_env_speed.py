"""Is an env step cheap beside the equations that it moves?"""

from __future__ import annotations

import time

import numpy as np
import pytest

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.scenarios import get, hovorka

PEOPLE, STEPS, TURNS = 1024, 20, 30  # short turns: some fall between the neighbours' bursts


def measure() -> tuple[np.ndarray, np.ndarray]:
    """Return CPU seconds per batch step of the env and of the bare equations, by turns on one machine."""
    env = TwinVectorEnv(get("Glucose-v0"), PEOPLE, dynamics="reference", horizon=STEPS * TURNS + 1)
    observations, _ = env.reset(seed=0)
    actions, _ = RulePolicy(env.scenario, "constant_basal").predict(observations)
    flow, ode = env.batch.state.flow, env.batch.state.ode.copy()
    carbs, insulin = np.zeros(PEOPLE), np.ones(PEOPLE)
    stepping, equations = [], []
    for _ in range(TURNS):
        start = time.process_time()
        for _ in range(STEPS):
            env.step(actions)
        stepping.append(time.process_time() - start)
        start = time.process_time()
        for _ in range(STEPS):
            hovorka.advance(flow, ode, carbs, insulin, 5)
        equations.append(time.process_time() - start)
    return np.array(stepping) / STEPS, np.array(equations) / STEPS


def test_a_step_costs_at_most_twice_its_equations() -> None:
    stepping, equations = measure()
    ratio = stepping / equations
    assert ratio.min() <= 2.0, f"{ratio.round(2)} times the equations"


@pytest.mark.slow
def test_half_a_million_steps_per_cpu_second() -> None:
    per_second = PEOPLE / measure()[0]
    assert per_second.max() >= 500_000, f"{per_second.round()} steps per CPU second"
