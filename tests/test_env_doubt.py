"""Is disagreement priced, are episodes cut and heads changed as asked, and is nothing else touched?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twingym.agents.algorithms import algorithm
from twingym.agents.hyperparameters import hyperparameters
from twingym.agents.paired import PairedReward
from twingym.agents.trainer import train
from twingym.envs import SB3VecEnv, TwinVectorEnv
from twingym.envs.doubt import Doubt
from twingym.envs.doubt_scale import calibrated
from twingym.evaluation import evaluate
from twingym.experiments.train import Args, check
from twingym.scenarios import get
from twingym.twins import people
from twingym.twins.errors import SpecError, UnknownNameError

MIRROR = get(Path(__file__).parent / "mirror_scenario.py")
N, STEPS = 12, MIRROR.horizon


def test_a_reaction_without_a_scale_is_refused() -> None:
    with pytest.raises(SpecError, match="doubt is 'truncate'; allowed: a Doubt"):
        TwinVectorEnv(MIRROR, N, dynamics=Unsure(), doubt="truncate")


class Unsure:
    """The mirror, with heads that disagree by as much as is answered."""

    heads = 3
    noise_width = 1

    def __init__(self) -> None:
        self.world = MIRROR.reference()
        self.bound: list[np.ndarray] = []

    def initial(self, cohort, inputs, noise):
        state, observed = self.world.initial(cohort, inputs, noise)
        return (state, np.zeros(len(cohort))), observed

    def step(self, state, action, inputs, noise):
        world, observed = self.world.step(state[0], action, inputs, noise)
        return (world, action[:, 0].copy()), observed

    def restart(self, state, rows, cohort, inputs, noise):
        world, observed = self.world.restart(state[0], rows, cohort, inputs, noise)
        state[1][rows] = 0.0
        return (world, state[1]), observed

    def take(self, state, rows):
        return self.world.take(state[0], rows), state[1][rows]

    def disagreement(self, state):
        return state[1]

    def bind(self, state, head):
        self.bound.append(np.asarray(head))
        return state


def doubt(reaction: str, **changes: float) -> Doubt:
    return Doubt(**{"reaction": reaction, "typical": 0.2, "price": 0.1, "limit": 0.8, "memory": 2, **changes})


def started(reaction: str | None, **changes: float) -> TwinVectorEnv:
    env = TwinVectorEnv(MIRROR, N, dynamics=Unsure(), doubt=doubt(reaction, **changes) if reaction else None)
    env.reset(seed=4)
    return env


ANSWERS = np.linspace(-1.0, 1.0, N)[:, None]  # on the policy's scale
ANSWERED = np.linspace(0.0, 1.0, N)


def test_disagreement_costs_its_price_and_sums_over_the_episode_stay_the_scenarios() -> None:
    plain, priced = started(None), started("penalise")
    for _ in range(STEPS):
        _, without, *_, told = plain.step(ANSWERS)
        _, rewards, *_, infos = priced.step(ANSWERS)
        np.testing.assert_allclose(without - rewards, 0.1 * ANSWERED / 0.2, atol=1e-12)
    np.testing.assert_array_equal(infos["final_info"]["episode_return"], told["final_info"]["episode_return"])


def test_an_episode_ends_where_recent_disagreement_is_beyond_the_limit() -> None:
    env = SB3VecEnv(started("truncate", limit=0.8, memory=2))
    env.seed(4)
    env.reset()
    ids, lengths = env.twins.cohort.ids.copy(), np.zeros(N, int)
    for t in range(1, STEPS):
        _, _, done, infos = env.step(ANSWERS)
        lengths[done & (lengths == 0)] = t
        for slot in np.flatnonzero(done):
            assert infos[slot]["TimeLimit.truncated"]
            assert infos[slot]["episode"]["l"] <= t
    # From 0.2 (typical) it goes half of the way to what is answered at each step.
    beyond = ANSWERED > 0.8
    wanted = np.ceil(np.log2((ANSWERED[beyond] - 0.2) / (ANSWERED[beyond] - 0.8)))
    np.testing.assert_array_equal(lengths[beyond], wanted)
    assert (lengths[~beyond] == 0).all()
    np.testing.assert_array_equal(env.twins.cohort.ids == ids, ~beyond)


def test_people_change_heads_by_a_function_of_who_and_when() -> None:
    env = started("rebind")
    for _ in range(STEPS):
        env.step(ANSWERS)
    every = np.stack(env.dynamics.bound)  # (T, N)
    assert set(np.unique(every)) == {0, 1, 2}
    assert (every[1:] != every[:-1]).mean() == pytest.approx(2.0 / 3.0, abs=0.12)
    again = started("rebind")
    for _ in range(STEPS):
        again.step(-ANSWERS)
    np.testing.assert_array_equal(every, np.stack(again.dynamics.bound))
    slow = started("rebind", every=5)
    for _ in range(STEPS):
        slow.step(ANSWERS)
    bound = np.stack(slow.dynamics.bound)
    changes = bound[1:] != bound[:-1]
    assert 0.0 < changes.mean() < 0.25
    assert changes.any(axis=1).sum() > 4  # people begin at times of their own


@pytest.mark.parametrize("ends_early", [True, False])
def test_a_double_is_cut_with_its_person(ends_early: bool) -> None:
    env = SB3VecEnv(started("truncate", limit=0.8 if ends_early else 2.0))
    pair = PairedReward(env, TwinVectorEnv(MIRROR, N, dynamics=Unsure()), "nothing")
    pair.seed(2)
    pair.reset()
    ended = 0
    for _ in range(3 * STEPS):
        _, _, done, _ = pair.step(ANSWERS)
        ended += done.sum()
        np.testing.assert_array_equal(env.twins.cohort.ids, pair._doubles.cohort.ids)
        np.testing.assert_array_equal(env.twins.t, pair._doubles.t)
    assert (ended > 3 * N) == ends_early


def test_the_scale_is_what_the_rules_meet() -> None:
    found = calibrated(MIRROR, Unsure(), "truncate", share=0.25)
    # Half of the people answer 0, half the cue, which is uniform.
    assert found.typical == pytest.approx(0.25, abs=0.02)
    assert found.price == pytest.approx(0.1 * (1.0 - 0.5), rel=0.1)  # what they earn per step
    bolder, stricter = (calibrated(MIRROR, Unsure(), "truncate", share=s).limit for s in (0.02, 0.5))
    assert stricter < found.limit < bolder < 1.0
    assert calibrated(MIRROR, Unsure(), "penalise", strength=0.4).price == pytest.approx(4.0 * found.price)


def test_an_agent_that_pays_for_disagreement_avoids_it_and_is_judged_without() -> None:
    settings = {"n_envs": 64, "n_steps": 16, "batch_size": 256, "learning_rate": 0.003}
    answers = {}
    for how, strength in (("none", 0.0), ("penalise", 3.0)):
        asked = {**settings, "doubt": how, "doubt_kwargs": {"strength": strength}}
        done = train(MIRROR, dynamics=Unsure(), n_timesteps=16_384, changes=asked)
        assert (done.doubt is None) == (how == "none")
        found = evaluate(done.policy, MIRROR, people("test", 200)).episodes
        answers[how] = found["delivered_answer"].mean() / STEPS
        if how == "none":
            assert found["reward_per_step"].mean() > 0.8
    assert answers["none"] > 0.4
    assert answers["penalise"] < 0.2


def test_impossible_doubts_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'penalise'"):
        doubt("penalize")
    with pytest.raises(UnknownNameError, match="Did you mean 'truncate'"):
        hyperparameters(algorithm("ppo"), MIRROR.env_id, {"doubt": "truncat"})
    with pytest.raises(SpecError, match="memory is 0; allowed: a finite number of at least 1"):
        doubt("truncate", memory=0)
    with pytest.raises(SpecError, match="doubt needs a twin model with several heads; MirrorReference has none"):
        TwinVectorEnv(MIRROR, N, dynamics="reference", doubt=doubt("truncate"))
    with pytest.raises(SpecError, match="has no heads that could disagree"):
        calibrated(MIRROR, MIRROR.reference(), "truncate")
    with pytest.raises(SpecError, match="share 1"):
        calibrated(MIRROR, Unsure(), "truncate", share=1.0)
    with pytest.raises(SpecError, match="allowed: strength, share, every"):
        train(MIRROR, dynamics=Unsure(), n_timesteps=64, changes={"doubt": "rebind", "doubt_kwargs": {"often": 1}})
    with pytest.raises(SpecError, match="only a twin model can be doubted"):
        check(Args(env="Glucose-v0", dynamics="reference", doubt="penalise"), get("Glucose-v0"))


def test_on_the_reference_there_is_nothing_to_doubt() -> None:
    settings = {"n_envs": 8, "n_steps": 8, "batch_size": 64, "doubt": "penalise"}
    assert train(MIRROR, dynamics="reference", n_timesteps=64, changes=settings).doubt is None
