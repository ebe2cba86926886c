"""Does a double beside everybody take away luck, and nothing else?"""

from __future__ import annotations

import numpy as np
import pytest

from twingym.agents.paired import PairedReward
from twingym.agents.trainer import train
from twingym.envs import SB3VecEnv, TwinVectorEnv
from twingym.scenarios import get
from twingym.twins.errors import SpecError, UnknownNameError

RETENTION = get("Retention-v0")
N, WEEKS = 200, 12


def pair(rule: str = "never") -> PairedReward:
    def twins() -> TwinVectorEnv:
        return TwinVectorEnv(RETENTION, N, dynamics="reference", horizon=WEEKS)

    return PairedReward(SB3VecEnv(twins()), twins(), rule)


def test_who_acts_as_the_rule_earns_nothing_over_many_episodes_and_resets() -> None:
    env = pair()
    env.seed(3)
    for _ in range(2):  # the second reset goes on with other people
        env.reset()
        for _ in range(2 * WEEKS + 3):
            _, rewards, _, _ = env.step(np.zeros(N, dtype=np.int64))
            np.testing.assert_array_equal(rewards, 0.0)
            np.testing.assert_array_equal(env._twins.cohort.ids, env._doubles.cohort.ids)


def test_the_difference_has_the_gain_of_an_action_and_little_of_the_luck() -> None:
    env, plain = pair(), TwinVectorEnv(RETENTION, N, dynamics="reference", horizon=WEEKS)
    env.seed(3)
    env.reset()
    plain.reset(seed=3)
    paired, alone, left = np.zeros(N), np.zeros(N), np.zeros(N)
    doubles = TwinVectorEnv(RETENTION, N, dynamics="reference", horizon=WEEKS)
    doubles.reset(seed=3)
    for t in range(WEEKS):
        actions = np.full(N, 1 if t % 4 == 0 else 0)
        _, rewards, done, infos = env.step(actions)
        paired += rewards
        alone += plain.step(actions)[1]
        left += doubles.step(np.zeros(N, dtype=np.int64))[1]
    np.testing.assert_allclose(paired, alone - left, atol=1e-3)
    assert paired.std() < 0.5 * alone.std()
    # What is reported of an episode is the agent's own return.
    assert done.all()
    np.testing.assert_allclose([info["episode"]["r"] for info in infos], alone, atol=1e-6)


def test_training_with_a_double_is_one_line_of_settings() -> None:
    settings = {"n_envs": 64, "n_steps": 8, "batch_size": 256}
    done = train(RETENTION, dynamics="reference", n_timesteps=1024, changes=settings)
    assert done.settings.paired_with == "never"  # from the YAML
    plain = train(RETENTION, dynamics="reference", n_timesteps=1024, changes={**settings, "paired_with": None})
    assert plain.settings.paired_with is None


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'never'"):
        pair("nevr")
    with pytest.raises(SpecError, match="can end early by 'severe_low'"):
        train(get("Glucose-v0"), dynamics="reference", n_timesteps=512, changes={"paired_with": "pid"})
