"""Does an installed wheel work away from the checkout? Run as a script, by .ci/run."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np

import twingym

ID = "twingym/Glucose-v0"


def check_it_is_the_wheel() -> None:
    package = Path(twingym.__file__).parent
    checkout = Path(__file__).resolve().parent.parent
    assert checkout / "src" / "twingym" != package, f"{package} is the checkout, not an installed wheel"
    assert (package / "py.typed").is_file()
    assert list(package.glob("scenarios/weights/*/*.safetensors")), "the wheel lacks the weights"


def check_single_env(dynamics: str) -> None:
    env = gym.make(ID, dynamics=dynamics)
    observation, _ = env.reset(seed=1)
    for _ in range(5):
        observation, reward, _, _, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward)
        assert "costs" in info
    env.close()


def check_vector_env(dynamics: str, people: int = 8) -> None:
    envs = gym.make_vec(ID, num_envs=people, vectorization_mode="vector_entry_point", dynamics=dynamics)
    envs.reset(seed=1)
    for _ in range(5):
        _, rewards, *_ = envs.step(envs.action_space.sample())
        assert rewards.shape == (people,)
        assert np.isfinite(rewards).all()
    envs.close()


def check_evaluation(people: int = 4) -> None:
    policy = twingym.envs.RulePolicy(twingym.scenarios.get(ID), "basal_bolus")
    ids = twingym.twins.people("test", people)
    for dynamics in ("transformer", "reference"):
        result = twingym.evaluation.evaluate(policy, ID, ids, dynamics=dynamics, horizon=24)
        assert len(result.episodes) == people
        assert np.isfinite(result.episodes["return"]).all()


def main() -> None:
    check_it_is_the_wheel()
    for dynamics in ("transformer", "reference"):
        check_single_env(dynamics)
        check_vector_env(dynamics)
    check_evaluation()
    print(f"smoke: twingym {twingym.__version__} works as installed")


if __name__ == "__main__":
    main()
