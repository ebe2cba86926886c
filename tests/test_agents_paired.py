"""Does a double beside everybody take away luck, and nothing else?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twingym.agents.export import export_policy
from twingym.agents.paired import PairedReward
from twingym.agents.policy import TrainedPolicy, latest_checkpoint
from twingym.agents.trainer import train
from twingym.envs import SB3VecEnv, TwinVectorEnv
from twingym.scenarios import get
from twingym.twins.errors import SpecError, UnknownNameError

RETENTION = get("Retention-v0")
SMALL = {"n_envs": 64, "batch_size": 256}
N, WEEKS = 200, 12


def pair(rule: str = "never", **options: bool) -> PairedReward:
    def twins() -> TwinVectorEnv:
        return TwinVectorEnv(RETENTION, N, dynamics="reference", horizon=WEEKS)

    return PairedReward(SB3VecEnv(twins()), twins(), rule, **options)


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


def test_the_critic_sees_the_double_and_the_actor_does_not(tmp_path) -> None:
    done = train(RETENTION, dynamics="reference", n_timesteps=1024, changes={**SMALL, "n_steps": 8}, folder=tmp_path)
    policy, seen = done.policy.model.policy, pair().reset()
    width = seen.shape[1]
    assert policy.observation_space.shape == (2 * width,)
    rows = torch.randn(50, 2 * width)
    other = torch.cat([rows[:, :width], torch.randn(50, width)], dim=1)
    assert torch.equal(
        policy.get_distribution(rows).distribution.logits, policy.get_distribution(other).distribution.logits
    )
    assert not torch.equal(policy.predict_values(rows), policy.predict_values(other))
    # Outside training nobody has a double: the saved and the exported policy act on a person's own observation.
    actions = done.policy.predict(seen)[0]
    assert np.array_equal(export_policy(done.policy, RETENTION, tmp_path / "policy").predict(seen)[0], actions)
    assert np.array_equal(TrainedPolicy.load(latest_checkpoint(tmp_path)).predict(seen)[0], actions)


def test_a_double_is_shown_at_the_end_of_an_episode_as_it_was_there() -> None:
    env = pair(shown=True)
    env.seed(3)
    own = env.reset().shape[1] // 2
    for t in range(WEEKS):
        before = env._doubles.t.copy()
        observations, _, done, infos = env.step(np.full(N, 1 if t % 2 else 0))
    assert done.all()
    assert (before == WEEKS - 1).all()
    assert np.array_equal(observations[:, :own], observations[:, own:])  # both have just been born
    last = np.stack([info["terminal_observation"] for info in infos])
    names = env._twins.layout.names
    messages = names.index("messages")
    assert last.shape == (N, 2 * own)
    assert (last[:, messages] > last[:, own + messages]).all()


def test_an_untrained_policy_can_begin_by_doing_nothing() -> None:
    for share in (0.5, 0.95):
        changes = {**SMALL, "n_steps": 8, "idle_at_first": share, "learning_rate": 1e-12}
        done = train(RETENTION, dynamics="reference", n_timesteps=512, changes=changes)
        chosen = done.policy.predict(np.repeat(pair().reset(), 20, axis=0), deterministic=False)[0]
        assert abs((chosen == 0).mean() - share) < 0.05
    for share, shown in ((1.5, r"1\.5"), ("often", "'often'")):
        with pytest.raises(SpecError, match=rf"idle_at_first is {shown}; allowed: a share between 0 and 1"):
            train(RETENTION, dynamics="reference", n_timesteps=512, changes={"idle_at_first": share})
    with pytest.raises(SpecError, match="Box actions; allowed: an actor-critic that chooses between levels"):
        train(get("Glucose-v0"), dynamics="reference", n_timesteps=512, changes={"idle_at_first": 0.5})


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'never'"):
        pair("nevr")
    with pytest.raises(SpecError, match="can end early by 'severe_low'"):
        train(get("Glucose-v0"), dynamics="reference", n_timesteps=512, changes={"paired_with": "pid"})
