"""Do the shipped scenarios keep Gymnasium's and Stable-Baselines3's contracts under both dynamics?"""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from stable_baselines3.common.env_checker import check_env as check_sb3

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.evaluation import evaluate
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.twins import people

SHIPPED = [name for name in names() if ships(name)]


@pytest.mark.parametrize("dynamics", ["reference", "transformer"])
@pytest.mark.parametrize("name", SHIPPED)
def test_both_checkers_pass_without_warnings(name, dynamics):
    env = gym.make(f"twingym/{name}", dynamics=dynamics, render_mode="rgb_array", horizon=20)
    check_gymnasium(env.unwrapped)
    check_sb3(env.unwrapped)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_course_on_the_twin_model_is_the_same_in_any_company(name):
    scenario, ids = get(name), people("test", 40)

    def course(twins):
        env = TwinVectorEnv(scenario, len(twins), dynamics="transformer", autoreset="disabled", horizon=30)
        env.reset(seed=4, options={"twins": twins})
        policy, seen = RulePolicy(scenario, scenario.baseline), []
        observations, state = env.layout.encode(env.values()), None
        for _ in range(30):
            actions, state = policy.predict(observations, state=state)
            observations, *_ = env.step(actions)
            seen.append(env.observed[twins.tolist().index(ids[7])].copy())
        return np.array(seen)

    alone = course(ids[7:8])
    np.testing.assert_array_equal(course(ids), alone)
    np.testing.assert_array_equal(course(ids[3:16]), alone)


@pytest.mark.parametrize("name", SHIPPED)
def test_evaluation_on_the_twin_model_does_not_depend_on_shards(name):
    scenario = get(name)
    policy, ids = RulePolicy(scenario, scenario.baseline), people("test", 24)
    whole = evaluate(policy, scenario, ids, dynamics="transformer", horizon=20).episodes
    parts = evaluate(policy, scenario, ids, dynamics="transformer", horizon=20, batch=9).episodes
    np.testing.assert_array_equal(whole["return"], parts["return"])
