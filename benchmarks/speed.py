"""How many steps per CPU second does an environment make, beside the bare equations, and beside a single head?

``python -m benchmarks.speed`` steps 1,024 twins of every shipped scenario on the reference, glucose twins by turns with
the equations alone, and twins on the twin model by turns with the same model that has only one of its heads. It prints
medians and best turns. An absolute speed is the machine's as much as ours, so the tests hold the ratios
(tests/test_env_speed.py) and this script the figures: run it on an idle machine.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.scenarios import get, names
from twingym.scenarios.glucose import hovorka
from twingym.scenarios.registry import ships
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel
from twingym.twins.network import TwinNetwork

PEOPLE, STEPS, TURNS = 1024, 20, 30  # short turns: some fall between the neighbours' bursts
WORK = 2048  # steps of people per turn on the twin model


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


def measure_env(name: str) -> np.ndarray:
    """Return CPU seconds per batch step of an env on the reference, under actions at random, by turns."""
    env = TwinVectorEnv(get(name), PEOPLE, dynamics="reference")
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(STEPS)]
    seconds = []
    for _ in range(TURNS):
        start = time.process_time()
        for action in actions:
            env.step(action)
        seconds.append(time.process_time() - start)
    return np.array(seconds) / STEPS


def measure_heads(people: int, name: str = "Glucose-v0", rule: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return CPU seconds per batch step of an env on the twin model with all heads and with one, by turns.

    People are treated as a ``rule`` of the scenario says at the start, by default the baseline.
    """
    scenario = get(name)
    model = TwinModel.load(weights_folder(scenario))
    envs = []
    for network in (model.network, one_head(model.network)):
        env = TwinVectorEnv(scenario, people, dynamics=TwinModel(network, {}).dynamics())
        observations, _ = env.reset(seed=0)
        envs.append((env, RulePolicy(scenario, rule or scenario.baseline).predict(observations)[0], []))
    steps = max(WORK // people, 1)
    for turn in range(-1, TURNS):
        for env, actions, seconds in envs:
            start = time.process_time()
            for _ in range(steps):
                env.step(actions)
            if turn >= 0:  # the first turn warms up
                seconds.append((time.process_time() - start) / steps)
    every, one = (np.array(seconds) for _, _, seconds in envs)
    return every, one


def one_head(network: TwinNetwork) -> TwinNetwork:
    """Return the network without all but its first head, and without the one that tells doubt."""
    alone = TwinNetwork.untrained(network.spec, replace(network.config, ensemble=1))
    given = network.state_dict()
    # What recurrent counts hold for each head stands along a first axis of M.
    wanted = {
        name: given[name][: len(tensor)] if tensor.ndim else given[name] for name, tensor in alone.state_dict().items()
    }
    alone.load_state_dict(wanted)
    return alone.eval()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in filter(ships, names()):
        rate = PEOPLE / measure_env(name)
        print(f"{name}: median {np.median(rate):,.0f}, best turn {rate.max():,.0f} env steps per CPU second")
    for label, seconds in zip(("env", "equations"), measure(), strict=True):
        rate = PEOPLE / seconds
        print(f"{label}: median {np.median(rate):,.0f}, best turn {rate.max():,.0f} steps per CPU second")
    # Every head has beliefs about counts; what treatment does to them is the dearest that there is.
    for name, rule in (*((name, None) for name in filter(ships, names())), ("Retention-v0", "blanket")):
        for people in (PEOPLE, 128, 64):
            every, one = measure_heads(people, name, rule)
            print(
                f"{name}{f' under {rule}' if rule else ''}, {people} people on the twin model: "
                f"{1e3 * np.median(every):.2f} ms a step with all heads, {1e3 * np.median(one):.2f} ms with one; ratio "
                f"{np.median(every / one):.3f}, of best turns {every.min() / one.min():.3f}"
            )
