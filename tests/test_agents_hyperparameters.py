"""Do the YAML files name only what rl-baselines3-zoo and the algorithms know, and is the rest refused?"""

from __future__ import annotations

import inspect

import pytest
import yaml
from gymnasium.spaces import Box, Discrete
from torch import nn

from twingym.agents.algorithms import ALGORITHMS, algorithm
from twingym.agents.hyperparameters import FOLDER, hyperparameters, keywords, schedule
from twingym.scenarios import names
from twingym.twins.errors import SpecError, UnknownNameError

# rl_zoo3/exp_manager.py, 2.9: keys that are taken out before the rest goes to the algorithm.
ZOO = {
    "n_envs",
    "n_timesteps",
    "policy",
    "normalize",
    "env_kwargs",
    "env_wrapper",
    "vec_env_wrapper",
    "callback",
    "frame_stack",
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_files_name_only_known_keys(name: str) -> None:
    entries = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    known = ZOO | {"paired_with", "idle_at_first"} | set(inspect.signature(algorithm(name).load()).parameters)
    assert "default" in entries
    for env_id, entry in entries.items():
        assert set(entry) <= known, env_id
        assert env_id == "default" or env_id.removeprefix("twingym/") in names()
        assert isinstance(entry["n_timesteps"], float)  # the zoo turns it into an int itself
        assert entry["policy_kwargs"].startswith("dict(")


def test_ppo_batches_are_large() -> None:
    for env_id in ("twingym/Glucose-v0", "twingym/Retention-v0", "twingym/Anything-v0"):
        found = hyperparameters(algorithm("ppo"), env_id)
        collected = found.n_envs * found.arguments["n_steps"]
        assert collected >= 16_000
        assert found.arguments["batch_size"] >= 4_000
        assert collected % found.arguments["batch_size"] == 0


def test_an_entry_of_its_own_is_preferred_and_changes_win() -> None:
    ppo = algorithm("ppo")
    default, glucose = hyperparameters(ppo, "twingym/New-v0"), hyperparameters(ppo, "twingym/Glucose-v0")
    assert default != glucose
    changed = hyperparameters(ppo, "twingym/Glucose-v0", {"n_envs": 3, "learning_rate": 0.1})
    assert (changed.n_envs, changed.arguments["learning_rate"]) == (3, 0.1)
    assert changed.arguments["gamma"] == glucose.arguments["gamma"]


def test_rewards_are_normalised_with_the_discount_of_the_algorithm() -> None:
    found = hyperparameters(algorithm("ppo"), "twingym/Glucose-v0")
    assert found.normalize is not None
    assert found.normalize["gamma"] == found.arguments["gamma"]
    assert found.normalize["norm_obs"] is True


def test_texts_are_built_without_running_them() -> None:
    assert keywords("dict(a=1, b=dict(c=[2.0, -3]), d=nn.Tanh)") == {"a": 1, "b": {"c": [2.0, -3]}, "d": nn.Tanh}
    for text in (
        "dict(a=__import__('os').getcwd())",
        "open('x')",
        "dict(a=nn.NoSuchLayer)",
        "dict(**x)",
        "[1]",
        "dict(",
    ):
        with pytest.raises(SpecError, match="allowed: dict"):
            keywords(text)


def test_schedules_fall_to_zero() -> None:
    rate = schedule("lin_0.002")
    assert (rate(1.0), rate(0.5), rate(0.0)) == (0.002, 0.001, 0.0)
    for text in ("lin_", "cos_0.1", "lin_-1", "0.1"):
        with pytest.raises(SpecError, match="'lin_' and a positive number"):
            schedule(text)
    built = hyperparameters(algorithm("ppo"), "twingym/Glucose-v0", {"learning_rate": "lin_0.5"}).built()
    assert built["learning_rate"](0.5) == 0.25
    assert isinstance(built["policy_kwargs"], dict)


def test_an_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'batch_size'"):
        hyperparameters(algorithm("ppo"), "twingym/Glucose-v0", {"batchsize": 64})


def test_an_unknown_algorithm_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown algorithm 'pp0'\. Did you mean 'ppo'"):
        algorithm("pp0")


def test_dqn_refuses_amounts() -> None:
    algorithm("dqn").check(Discrete(3), "X-v0")
    with pytest.raises(SpecError, match=r"'dqn' needs Discrete actions; scenario 'X-v0' has Box ones\. Use 'ppo'"):
        algorithm("dqn").check(Box(-1.0, 1.0, (1,)), "X-v0")
