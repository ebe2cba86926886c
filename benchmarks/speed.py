"""How many steps per CPU second does an environment on the reference make, and how many do the bare equations?

``python -m benchmarks.speed`` steps 1,024 glucose twins by turns with the equations alone and prints medians and best
turns. An absolute speed is the machine's as much as ours, so the tests hold the ratio (tests/test_env_speed.py) and
this script the figure: run it on an idle machine.
"""

from __future__ import annotations

import time

import numpy as np

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


if __name__ == "__main__":
    for name, seconds in zip(("env", "equations"), measure(), strict=True):
        per_second = PEOPLE / seconds
        print(f"{name}: median {np.median(per_second):,.0f}, best turn {per_second.max():,.0f} steps per CPU second")
