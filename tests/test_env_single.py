"""Is one twin a proper Gymnasium env, known by its id, and can it be looked at?"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import twingym
from twingym.envs import RulePolicy, TwinEnv, TwinVectorEnv
from twingym.envs.registration import register_all
from twingym.scenarios import get, register
from twingym.scenarios.weights import weights_folder
from twingym.twins.errors import WeightsError

FILE = Path(__file__).parent / "nudge_scenario.py"
GLUCOSE, NUDGE = get("Glucose-v0"), get(FILE)
IDS = ["twingym/Glucose-v0", "twingym/Nudge-v0", "twingym/Retention-v0"]


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("observation", ["scaled", "raw"])
def test_both_checkers_are_content(name, observation) -> None:
    """Warnings are errors in this test run."""
    env = gym.make(name, dynamics="reference", observation=observation, render_mode="rgb_array").unwrapped
    assert isinstance(env, TwinEnv)
    check_env(env)
    check_sb3_env(env)


@pytest.mark.parametrize("name", IDS)
def test_it_is_the_vector_env_with_one_slot(name) -> None:
    env = gym.make(name, dynamics="reference")
    twins = TwinVectorEnv(get(name), 1, dynamics="reference", autoreset="disabled")
    observation, _ = env.reset(seed=11)
    observations, _ = twins.reset(seed=11)
    env.action_space.seed(1)
    for _ in range(12):
        np.testing.assert_array_equal(observation, observations[0])
        action = env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        observations, rewards, _, _, infos = twins.step(np.asarray(action)[None])
        assert reward == rewards[0]
        np.testing.assert_array_equal(info["costs"], infos["costs"][0])
        assert type(terminated) is type(truncated) is bool


def test_the_last_info_has_the_sums_and_groups() -> None:
    env = TwinEnv(GLUCOSE, dynamics="reference", horizon=4)
    env.reset(seed=0, options={"twins": [17]})
    returns, low = 0.0, 0.0
    for step in range(1, 5):
        _, reward, terminated, truncated, info = env.step(np.array([-0.3]))
        returns, low = returns + reward, low + info["cost_below_70"]
        assert ("cost_return_below_70" in info) == (step == 4)
    assert (terminated, truncated) == (False, True)
    assert info["twin"] == 17
    assert info["episode_length"] == 4
    assert info["episode_return"] == pytest.approx(returns)
    assert info["cost_return_below_70"] == low
    assert info["group_weight_band"] in GLUCOSE.group_levels["weight_band"]
    assert "disagreement" not in info


def test_masks_of_one_twin() -> None:
    env = TwinEnv(NUDGE, dynamics="reference")
    env.reset(seed=0)
    assert env.action_masks().tolist() == [True, True, True]
    env.step(1)
    assert env.action_masks().tolist() == [True, False, False]


# -- registration ------------------------------------------------------------------------------------------------------


def test_make_vec_gives_the_vector_env() -> None:
    envs = gym.make_vec(IDS[0], num_envs=1024, vectorization_mode="vector_entry_point", dynamics="reference")
    assert isinstance(envs, TwinVectorEnv)
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (1024, 14)
    assert envs.observation_space.contains(observations)
    observations, *_ = envs.step(envs.action_space.sample())
    assert envs.observation_space.contains(observations)
    envs.close()


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_gymnasium_vectorises_it_too(mode) -> None:
    envs = gym.make_vec(IDS[1], num_envs=3, vectorization_mode=mode, dynamics="reference")
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
    envs.reset(seed=0)
    for _ in range(30):
        observations, rewards, *_, infos = envs.step(envs.action_space.sample())
    assert observations.shape == (3, 7)
    assert rewards.shape == infos["cost_contacts"].shape == (3,)
    assert envs.episode_count >= 3
    envs.close()


def test_infos_can_be_listed_per_slot() -> None:
    envs = gym.wrappers.vector.DictInfoToList(TwinVectorEnv(NUDGE, 3, dynamics="reference"))
    envs.reset(seed=0)
    for _ in range(12):
        *_, infos = envs.step(np.zeros(3, int))
    assert [type(info) for info in infos] == [dict] * 3
    assert infos[0]["final_info"]["episode_length"] == 12
    np.testing.assert_array_equal(infos[1]["costs"], [0.0, 0.0])


def test_the_id_works_without_the_import() -> None:
    code = (
        "import sys, gymnasium as gym\n"
        "env = gym.make('twingym:twingym/Glucose-v0', dynamics='reference')\n"
        "print(env.reset(seed=0)[0].shape, 'torch' in sys.modules, 'matplotlib' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(14,)", "False", "False"]


def test_scenarios_made_known_later_get_an_id() -> None:
    assert "twingym/Later-v0" not in gym.registry
    register(replace(NUDGE, id="Later-v0"))
    assert gym.make("twingym/Later-v0", dynamics="reference").reset(seed=0)[0].shape == (7,)
    before = dict(gym.registry)
    register_all()
    assert gym.registry == before


def test_there_is_no_time_limit_but_the_scenarios_own() -> None:
    spec = gym.spec("twingym/Glucose-v0")
    assert spec.max_episode_steps is None
    assert spec.kwargs == {"scenario": "Glucose-v0"}


def test_the_public_names_are_there() -> None:
    assert twingym.envs.TwinVectorEnv is TwinVectorEnv
    with pytest.raises(AttributeError, match="no attribute 'TwinVecEnv'"):
        _ = twingym.envs.TwinVecEnv


def test_weights_lie_beside_the_scenario() -> None:
    assert weights_folder(GLUCOSE).parts[-3:] == ("scenarios", "weights", "Glucose-v0")
    assert weights_folder(NUDGE) == FILE.parent / "nudge_scenario_twin"
    register(memory := replace(NUDGE, id="Memory-v0"))
    with pytest.raises(WeightsError, match="comes from no file"):
        weights_folder(memory)
    with pytest.raises(WeightsError, match="no twin model in"):
        TwinEnv(NUDGE)


# -- a picture ---------------------------------------------------------------------------------------------------------


def test_the_picture_shows_the_course_so_far() -> None:
    env = TwinEnv(GLUCOSE, dynamics="reference", render_mode="rgb_array")
    observation, _ = env.reset(seed=3)
    policy = RulePolicy(GLUCOSE, "basal_bolus")
    frames = [env.render()]
    for _ in range(2):
        for _ in range(60):
            observation, *_ = env.step(policy.predict(observation)[0])
        frames.append(env.render())
    for frame in frames:
        assert frame.dtype == np.uint8
        assert frame.shape == frames[0].shape == (*frame.shape[:2], 3)
    ink = [(frame < 128).any(axis=2).sum() for frame in frames]
    assert ink[0] < ink[1] < ink[2]
    band = np.array([0xDF, 0xF0, 0xD8])
    assert (frames[0] == band).all(axis=2).mean() > 0.05
    assert env.render_mode == "rgb_array"
    assert TwinEnv(GLUCOSE, dynamics="reference").render() is None


def test_what_a_dynamics_does_not_know_has_no_panel() -> None:
    heights = {}
    for dynamics in ("reference", "transformer"):
        env = TwinEnv(get("Retention-v0"), dynamics=dynamics, render_mode="rgb_array")
        env.reset(seed=0)
        frame = env.render()
        assert frame is not None
        heights[dynamics] = frame.shape[0]
    assert heights["transformer"] == heights["reference"] - 150  # habituation, a share, is hidden


def test_events_and_levels_are_drawn_and_a_new_course_begins_empty() -> None:
    red = np.array([0xC0, 0x39, 0x2B])

    def marked(frame):
        return (np.abs(frame.astype(int) - red).sum(axis=2) < 30).sum()

    env = TwinEnv(GLUCOSE, dynamics="reference", render_mode="rgb_array")
    env.reset(seed=0)
    assert marked(env.render()) == 0
    while not env.step(np.array([0.9]))[2]:
        pass
    assert marked(env.render()) > 100
    env.reset()
    assert marked(env.render()) == 0
    twins = TwinVectorEnv(NUDGE, 2, dynamics="reference", render_mode="rgb_array")
    twins.reset(seed=0)
    for _ in range(15):
        twins.step(np.ones(2, int))
    one, other = twins.render()
    assert one.shape == other.shape
    assert not np.array_equal(one, other)


def test_nothing_is_drawn_after_the_end() -> None:
    env = TwinEnv(NUDGE, dynamics="reference", render_mode="rgb_array")
    env.reset(seed=0)
    frames = {}
    for step in range(1, 16):
        env.step(1)
        if step in (11, 12, 15):
            frames[step] = env.render()
    np.testing.assert_array_equal(frames[15], frames[12])
    assert not np.array_equal(frames[11], frames[12])
    twins = TwinVectorEnv(NUDGE, 2, dynamics="reference", render_mode="rgb_array", autoreset="disabled")
    twins.reset(seed=0)
    for _ in range(3):
        twins.step(np.ones(2, int))
    before = twins.render()
    twins.reset(options={"reset_mask": np.array([True, False])})
    after = twins.render()
    np.testing.assert_array_equal(after[1], before[1])
    assert not np.array_equal(after[0], before[0])
