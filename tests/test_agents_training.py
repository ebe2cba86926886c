"""Does an agent learn, come back from disk as it was, and survive Ctrl-C?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from twingym.agents.auditor import reveal
from twingym.agents.export import DESCRIPTION, WEIGHTS, export_policy, load_policy
from twingym.agents.policy import TrainedPolicy, latest_checkpoint
from twingym.agents.scalars import scalars
from twingym.agents.trainer import Training, train
from twingym.envs.layout import ObservationLayout
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios import Scenario, get
from twingym.twins.errors import SpecError, UnknownNameError, WeightsError

MIRROR = Path(__file__).parent / "mirror_scenario.py"
FAST_PPO = {"n_steps": 16, "batch_size": 512, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def mirror() -> Scenario:
    return get(MIRROR)


@pytest.fixture(scope="module")
def trained(mirror: Scenario, tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Path]:
    folder = tmp_path_factory.mktemp("trained")
    done = train(
        mirror,
        dynamics="reference",
        n_timesteps=40_960,
        n_envs=128,
        changes=FAST_PPO,
        folder=folder,
        tensorboard=folder / "events",
    )
    return done, folder


def mean_reward(policy: object, scenario: Scenario) -> float:
    envs = TwinVectorEnv(scenario, 64, dynamics="reference", people="test")
    observations, _ = envs.reset(seed=3)
    total = 0.0
    for _ in range(scenario.horizon):
        actions, _ = policy.predict(observations, deterministic=True)  # type: ignore[attr-defined]
        observations, rewards, *_ = envs.step(actions)
        total += float(rewards.mean()) / scenario.horizon
    return total


def observations_of(scenario: Scenario, people: int) -> np.ndarray:
    count = len(ObservationLayout(scenario).names)
    return np.random.default_rng(1).uniform(-1.0, 1.0, (people, count)).astype(np.float32)


def test_ppo_learns_to_repeat_the_cue(trained: tuple[Training, Path], mirror: Scenario) -> None:
    assert trained[0].finished
    assert mean_reward(trained[0].policy, mirror) > 0.9  # doing nothing gives 0.5


def test_dqn_learns_to_repeat_the_cue(mirror: Scenario) -> None:
    choices = mirror.vary(choices=True)
    fast = {"learning_starts": 500, "train_freq": 4, "gradient_steps": 8, "target_update_interval": 500, "gamma": 0.5}
    done = train(choices, "dqn", dynamics="reference", n_timesteps=12_000, n_envs=32, changes=fast)
    assert mean_reward(done.policy, choices) > 0.8


def test_dqn_trains_on_the_twins_of_retention_with_its_own_settings() -> None:
    scenario = get("Retention-v0")
    done = train(scenario, "dqn", n_timesteps=60_000, changes={"learning_starts": 10_000, "gradient_steps": 1})
    assert done.finished
    actions, _ = done.policy.predict(observations_of(scenario, 50))
    assert actions.shape == (50,)
    assert set(actions.tolist()) <= {0, 1, 2, 3}


def test_dqn_refuses_a_scenario_with_amounts(mirror: Scenario) -> None:
    with pytest.raises(SpecError, match="needs Discrete actions"):
        train(mirror, "dqn", dynamics="reference", n_timesteps=100)


def test_the_same_seed_gives_the_same_agent(mirror: Scenario) -> None:
    def weights(seed: int) -> np.ndarray:
        done = train(mirror, dynamics="reference", seed=seed, n_timesteps=4096, n_envs=64, changes=FAST_PPO)
        return done.policy.predict(observations_of(mirror, 50))[0]

    assert np.array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_a_checkpoint_acts_as_the_agent_did(trained: tuple[Training, Path], mirror: Scenario) -> None:
    done, folder = trained
    seen = observations_of(mirror, 50)
    assert done.checkpoint == latest_checkpoint(folder)
    again = TrainedPolicy.load(latest_checkpoint(folder))
    assert np.array_equal(again.predict(seen)[0], done.policy.predict(seen)[0])
    assert again.model.num_timesteps == 40_960


@pytest.mark.parametrize(
    ("algo", "choices", "changes"),
    [
        ("ppo", False, {"n_steps": 8, "batch_size": 256}),
        ("ppo", False, {"n_steps": 8, "batch_size": 256, "normalize": "dict(norm_obs=False)"}),
        ("ppo", True, {"n_steps": 8, "batch_size": 256, "policy_kwargs": "dict(activation_fn=nn.ReLU, net_arch=[16])"}),
        ("ppo", True, {"n_steps": 8, "batch_size": 256, "normalize": False}),
        ("dqn", True, {"learning_starts": 10}),
    ],
)
def test_an_exported_policy_acts_as_the_agent_does(
    mirror: Scenario, tmp_path: Path, algo: str, choices: bool, changes: dict[str, object]
) -> None:
    scenario = mirror.vary(choices=choices)
    done = train(scenario, algo, dynamics="reference", n_timesteps=1024, n_envs=32, changes=changes)
    export_policy(done.policy, scenario, tmp_path)
    again = load_policy(tmp_path)
    again.check(scenario)
    seen = observations_of(scenario, 200)
    assert np.array_equal(again.predict(seen)[0], done.policy.predict(seen)[0])
    assert again.predict(seen)[0].dtype == done.policy.predict(seen)[0].dtype
    assert again.description["observations"] == list(ObservationLayout(scenario).names)


def test_one_person_alone_gets_the_action_they_get_in_company(
    trained: tuple[Training, Path], mirror: Scenario, tmp_path: Path
) -> None:
    seen = observations_of(mirror, 50)
    for policy in (trained[0].policy, export_policy(trained[0].policy, mirror, tmp_path)):
        together = policy.predict(seen)[0]
        assert np.array_equal(policy.predict(seen[7])[0], together[7])
        assert np.array_equal(policy.predict(seen[5:8])[0], together[5:8])


def flip_a_byte(folder: Path) -> None:
    blob = bytearray((folder / WEIGHTS).read_bytes())
    blob[-1] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(blob))


def change_a_name(folder: Path) -> None:
    text = (folder / DESCRIPTION).read_text(encoding="utf-8")
    (folder / DESCRIPTION).write_text(text.replace('"cue"', '"clue"'), encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (flip_a_byte, "is corrupt: its SHA-256"),
        (change_a_name, "is corrupt: its SHA-256"),
        (lambda folder: (folder / DESCRIPTION).write_text("{", encoding="utf-8"), "is not the description of a policy"),
        (
            lambda folder: (folder / DESCRIPTION).write_text('{"schema": 0, "sha256": ""}', encoding="utf-8"),
            "has schema 0",
        ),
        (lambda folder: (folder / WEIGHTS).unlink(), "no exported policy in"),
    ],
)
def test_a_corrupt_export_is_refused(
    trained: tuple[Training, Path], mirror: Scenario, tmp_path: Path, harm: Callable[[Path], object], message: str
) -> None:
    export_policy(trained[0].policy, mirror, tmp_path)
    harm(tmp_path)
    with pytest.raises(WeightsError, match=message):
        load_policy(tmp_path)


def test_a_policy_of_another_scenario_is_refused(
    trained: tuple[Training, Path], mirror: Scenario, tmp_path: Path
) -> None:
    policy = export_policy(trained[0].policy, mirror, tmp_path)
    with pytest.raises(WeightsError, match="trained on scenario 'Mirror-v0' with observations"):
        policy.check(get("Glucose-v0"))


def test_an_exported_policy_says_that_it_has_no_randomness(
    trained: tuple[Training, Path], mirror: Scenario, tmp_path: Path
) -> None:
    policy = export_policy(trained[0].policy, mirror, tmp_path)
    with pytest.raises(SpecError, match="deterministic=True"):
        policy.predict(observations_of(mirror, 8), deterministic=False)


class Interrupt(BaseCallback):
    """Does what Ctrl-C does, once, in the middle of a rollout."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.after:
            raise KeyboardInterrupt
        return True


def test_a_stopped_training_goes_on_where_it_was(mirror: Scenario, tmp_path: Path) -> None:
    settings = {"dynamics": "reference", "n_timesteps": 8192, "n_envs": 64, "changes": FAST_PPO, "folder": tmp_path}
    stopped = train(mirror, callbacks=[Interrupt(3000)], **settings)
    assert not stopped.finished
    assert stopped.checkpoint is not None
    assert 3000 <= stopped.policy.model.num_timesteps < 4000
    seen = observations_of(mirror, 20)
    assert np.array_equal(TrainedPolicy.load(stopped.checkpoint).predict(seen)[0], stopped.policy.predict(seen)[0])

    done = train(mirror, resume=True, **settings)
    assert done.finished
    assert done.policy.model.num_timesteps >= 8192
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_going_on_without_a_checkpoint_is_refused(mirror: Scenario, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint in"):
        train(mirror, dynamics="reference", n_timesteps=100, folder=tmp_path, resume=True)


def test_training_logs_constraints_and_fairness(trained: tuple[Training, Path]) -> None:
    events = EventAccumulator(str(trained[1] / "events"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    wanted = {f"constraint/far/{leaf}" for leaf in ("cost_return", "limit", "violation_rate")}
    assert (
        wanted | {"constraint/gap/cost_return", "constraint/gap/limit", "fairness/half/gap", "fairness/half/worst"}
        <= tags
    )
    assert "twin/disagreement" not in tags  # the reference has none
    assert {"rollout/ep_rew_mean", "train/loss", "time/fps"} <= tags
    cost = [event.value for event in events.Scalars("constraint/far/cost_return")]
    assert cost[-1] < 0.1 < cost[0]
    assert [event.value for event in events.Scalars("constraint/far/limit")] == pytest.approx([0.1] * len(cost))


def test_scalars_of_hand_made_episodes(mirror: Scenario) -> None:
    episodes = {
        "episode_return": np.array([8.0, 16.0, 12.0, 4.0]),
        "episode_length": np.array([16, 16, 16, 8]),
        "disagreement": np.array([np.nan, 0.2, 0.4, np.nan]),
        "cost_return_far": np.array([4.0, 0.0, 0.0, 2.0]),
        "group_half": np.array(["left", "right", "right", "left"]),
    }
    found = scalars(mirror, episodes)
    assert found["constraint/far/cost_return"] == pytest.approx((0.25 + 0.25) / 4)
    assert found["constraint/far/violation_rate"] == 0.5
    assert found["fairness/half/worst"] == pytest.approx(0.5)
    assert found["fairness/half/gap"] == pytest.approx(0.875 - 0.5)
    assert found["constraint/gap/cost_return"] == pytest.approx(14.0 - 6.0)  # as when it is judged: sums
    assert found["twin/disagreement"] == pytest.approx(0.3)


def test_an_oracle_sees_what_is_hidden(mirror: Scenario) -> None:
    assert "hidden_cue" not in ObservationLayout(mirror).names
    assert ObservationLayout(reveal(mirror)).names == ("half=left", "half=right", "cue", "hidden_cue")
    assert ObservationLayout(reveal(mirror, "hidden_cue")).names == ("cue", "hidden_cue")
    done = train(reveal(mirror, "hidden_cue"), dynamics="reference", n_timesteps=1024, n_envs=64, changes=FAST_PPO)
    assert done.policy.predict(np.zeros((2, 2), np.float32))[0].shape == (2, 1)
    with pytest.raises(UnknownNameError, match="Did you mean 'hidden_cue'"):
        reveal(mirror, "hidden_cu")
    with pytest.raises(UnknownNameError, match="sees the others already"):
        reveal(mirror, "cue")


def test_a_corrupt_checkpoint_is_refused(trained: tuple[Training, Path], tmp_path: Path) -> None:
    trained[0].policy.save(tmp_path / "steps_000000000001")
    model = tmp_path / "steps_000000000001" / "model.zip"
    model.write_bytes(model.read_bytes()[:2000])
    with pytest.raises(WeightsError, match="cannot be read"):
        TrainedPolicy.load(latest_checkpoint(tmp_path))
