"""Do SB3's own tools work on the adapter and on the single env?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from twingym.envs import RulePolicy, SB3VecEnv, TwinEnv, TwinVectorEnv
from twingym.scenarios import get
from twingym.twins.errors import SpecError, UnknownNameError

GLUCOSE = get("Glucose-v0")
NUDGE = get(Path(__file__).parent / "nudge_scenario.py")


def glucose(slots=4, **settings) -> SB3VecEnv:
    return SB3VecEnv(GLUCOSE, slots, dynamics="reference", **settings)


def test_it_says_what_the_vector_env_says() -> None:
    env, twins = glucose(horizon=6), TwinVectorEnv(GLUCOSE, 4, dynamics="reference", horizon=6)
    env.seed(5)
    np.testing.assert_array_equal(env.reset(), twins.reset(seed=5)[0])
    assert env.reset_infos[2] == {"twin": int(twins.cohort.ids[2])}
    for step in range(1, 9):
        actions = np.full((4, 1), -0.3, np.float32)
        observations, rewards, dones, infos = env.step(actions)
        expected, plain, terminated, truncated, arrays = twins.step(actions)
        np.testing.assert_array_equal(observations, expected)
        np.testing.assert_array_equal(rewards, plain.astype(np.float32))
        np.testing.assert_array_equal(dones, terminated | truncated)
        np.testing.assert_array_equal(env.last_costs, arrays["costs"])
        assert env.last_costs.shape == (4, len(GLUCOSE.costs))
        assert dones.all() == (step == 6)
        for slot, info in enumerate(infos):
            assert info["cost_below_70"] == arrays["cost_below_70"][slot]
            assert ("terminal_observation" in info) == dones[slot]
            if dones[slot]:
                np.testing.assert_array_equal(info["terminal_observation"], arrays["final_obs"][slot])
                assert info["TimeLimit.truncated"] is True
                assert info["episode"]["l"] == info["episode_length"] == 6
                assert info["cost_return_below_70"] >= 0.0
                assert info["group_weight_band"] in ("light", "middle", "heavy")


def test_an_event_is_no_time_limit() -> None:
    env = glucose(2)
    env.seed(0)
    env.reset()
    for _ in range(60):
        _, _, dones, infos = env.step(np.full((2, 1), 0.9, np.float32))
        if dones.any():
            break
    ended = infos[int(np.flatnonzero(dones)[0])]
    assert ended["TimeLimit.truncated"] is False
    assert ended["cost_return_severe_low"] == 1.0


@pytest.mark.parametrize(
    ("slots", "infos", "full"), [(64, None, True), (65, None, False), (65, "full", True), (2, "terminal", False)]
)
def test_infos_are_full_for_few_and_terminal_for_many(slots, infos, full) -> None:
    env = glucose(slots, infos=infos, horizon=3)
    env.reset()
    for step in range(1, 4):
        _, _, dones, listed = env.step(np.full((slots, 1), -0.3, np.float32))
        assert all(bool(info) == (full or bool(done)) for info, done in zip(listed, dones, strict=True))
        assert dones.all() == (step == 3)
    assert "cost_return_below_70" in listed[0]


def test_attributes_and_methods_are_handed_out_by_slot() -> None:
    env = SB3VecEnv(NUDGE, 3, dynamics="reference", render_mode="rgb_array")
    env.seed(1)
    env.reset()
    env.step(np.array([0, 1, 0]))
    assert env.get_attr("t") == [1, 1, 1]
    assert env.get_attr("scenario", indices=[0, 2]) == [NUDGE, NUDGE]
    assert [mask.tolist() for mask in env.env_method("action_masks")] == [[True] * 3, [True, False, False], [True] * 3]
    assert len(env.env_method("action_masks", indices=1)) == 1
    assert env.env_is_wrapped(Monitor) == [False] * 3
    assert env.has_attr("layout")
    assert not env.has_attr("lay_out")
    env.set_attr("note", "kept")
    assert env.get_attr("note", 0) == ["kept"]
    with pytest.raises(SpecError, match="allowed: all"):
        env.set_attr("note", "lost", indices=[1])
    assert env.render_mode == "rgb_array"
    images = env.get_images()
    assert len(images) == 3
    assert images[0].shape[2] == 3


def test_options_hold_for_one_reset() -> None:
    env = glucose(3)
    env.set_options({"twins": [4, 5, 6]})
    env.reset()
    assert [info["twin"] for info in env.reset_infos] == [4, 5, 6]
    env.reset()
    assert [info["twin"] for info in env.reset_infos] != [4, 5, 6]
    env.set_options([{"twins": [1]}, {}, {}])
    with pytest.raises(SpecError, match="options differ between slots"):
        env.reset()


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'terminal'"):
        glucose(2, infos="terminl")
    with pytest.raises(SpecError, match="allowed for SB3: 'same_step'"):
        SB3VecEnv(TwinVectorEnv(GLUCOSE, 2, dynamics="reference", autoreset="next_step"))


def test_ppo_learns_behind_normaliser_and_monitor_with_evaluation(tmp_path) -> None:
    env = VecNormalize(VecMonitor(glucose(8, horizon=20)))
    judge = VecNormalize(VecMonitor(glucose(3, horizon=20, people="validation")), training=False, norm_reward=False)
    callback = EvalCallback(judge, n_eval_episodes=3, eval_freq=20, log_path=str(tmp_path), verbose=0)
    model = PPO("MlpPolicy", env, n_steps=20, batch_size=40, n_epochs=1, seed=0, device="cpu")
    model.learn(320, callback=callback)
    assert len(model.ep_info_buffer) == 16
    assert np.load(tmp_path / "evaluations.npz")["ep_lengths"].shape == (2, 3)


def test_dqn_learns_on_levels_and_a_rule_is_evaluated_by_sb3() -> None:
    env = SB3VecEnv(NUDGE, 4, dynamics="reference")
    DQN("MlpPolicy", env, learning_starts=16, batch_size=8, device="cpu", seed=0).learn(80)
    judge = VecMonitor(SB3VecEnv(NUDGE, 4, dynamics="reference"))
    _, lengths = evaluate_policy(
        RulePolicy(NUDGE, "every_other"), judge, n_eval_episodes=8, return_episode_rewards=True
    )
    assert len(lengths) == 8
    assert max(lengths) == 12


def test_stock_make_vec_env_and_monitor_take_the_single_env() -> None:
    env = make_vec_env("twingym/Glucose-v0", n_envs=2, seed=3, env_kwargs={"dynamics": "reference", "horizon": 10})
    PPO("MlpPolicy", env, n_steps=20, batch_size=20, n_epochs=1, device="cpu").learn(40)
    one = Monitor(
        TwinEnv(GLUCOSE, dynamics="reference", horizon=5), info_keywords=("cost_return_below_70", "group_weight_band")
    )
    one.reset(seed=0)
    for _ in range(5):
        *_, info = one.step(np.array([-0.3], np.float32))
    assert info["episode"]["l"] == 5
    assert info["episode"]["group_weight_band"] in ("light", "middle", "heavy")
