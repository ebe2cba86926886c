"""Do people go on from where their recorded course stopped, as if they had lived it in the environment?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.envs.behaviour import collect
from twingym.envs.dynamics import resolve
from twingym.scenarios import get
from twingym.twins import Courses, people
from twingym.twins.errors import CohortError, DynamicsError, SpecError


@pytest.fixture(scope="module", params=["Glucose-v0", "Retention-v0"])
def scenario(request):
    return get(request.param)


@pytest.fixture(scope="module")
def dynamics(scenario):
    return resolve(scenario, "transformer")


def env_of(scenario, dynamics, count: int, horizon: int = 30, **more) -> TwinVectorEnv:
    return TwinVectorEnv(scenario, count, dynamics=dynamics, horizon=horizon, autoreset="disabled", **more)


def lived(scenario, dynamics, ids, steps: int, seed: int = 5) -> tuple[TwinVectorEnv, Courses]:
    """Live through some steps in the environment itself, under a rule, and write down what happened."""
    env = env_of(scenario, dynamics, len(ids))
    observations, _ = env.reset(seed=seed, options={"twins": ids})
    policy = RulePolicy(scenario, scenario.baseline if scenario.id == "Glucose-v0" else "every_k_weeks")
    observed, inputs, delivered, state = [env.observed.copy()], [env.inputs.copy()], [], None
    for _ in range(steps):
        actions, state = policy.predict(observations, state)
        observations, *_, infos = env.step(actions)
        delivered.append(infos["delivered"].copy())
        observed.append(env.observed.copy())
        inputs.append(env.inputs.copy())
    assert not env.over.any()
    shape = (len(ids), steps)
    return env, Courses(
        np.asarray(ids),
        dict(env.cohort.traits),
        np.stack(observed, 1),
        np.stack(delivered, 1),
        np.stack(inputs, 1),
        np.full(shape, np.nan),
        np.full(len(ids), steps),
    )


def test_an_episode_goes_on_as_if_it_had_been_lived(scenario, dynamics):
    """Observation, bookkeeping, time, inputs, rewards and costs are those of the env that lived through the past."""
    ids = people("test", 9)
    one, past = lived(scenario, dynamics, ids, 12)
    other = env_of(scenario, dynamics, 9)
    observations, _ = other.reset(seed=5, options={"history": past})
    assert other.t.tolist() == [12] * 9
    for name, values in one.values().items():
        np.testing.assert_allclose(other.values()[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(observations, one.layout.encode(one.values()), atol=1e-6)
    if scenario.id == "Retention-v0":
        return  # habits are drawn anew where a known past ends
    for _ in range(6):
        action = np.tile(one.single_action_space.sample() * 0.0, (9, 1))
        (a, reward, _, _, infos), (b, again, _, _, more) = one.step(action), other.step(action)
        np.testing.assert_allclose(b, a, atol=2e-5)
        np.testing.assert_allclose(again, reward, atol=1e-4)
        np.testing.assert_array_equal(more["costs"], infos["costs"])


def test_pasts_of_different_length_end_together(scenario, dynamics):
    ids = people("test", 9)
    _, past = lived(scenario, dynamics, ids, 12)
    length = np.array([12, 3, 7, 0, 12, 1, 5, 11, 2])
    env = env_of(scenario, dynamics, 9)
    env.reset(seed=5, options={"history": replace(past, length=length)})
    assert env.t.tolist() == length.tolist()
    for row in range(9):
        known = np.isfinite(past.observed[row, length[row]])
        np.testing.assert_allclose(env.observed[row, known], past.observed[row, length[row], known], rtol=1e-9)
        alone = env_of(scenario, dynamics, 1)
        cut = replace(past.take(np.array([row])), length=length[[row]])
        alone.reset(seed=5, options={"history": cut})
        for name, values in alone.values().items():
            np.testing.assert_allclose(env.values()[name][row], values[0], rtol=1e-6, atol=1e-6, err_msg=name)


def test_what_is_missing_is_drawn_and_the_rest_is_kept(scenario, dynamics):
    ids = people("test", 8)
    _, past = lived(scenario, dynamics, ids, 6)
    told = past.observed.copy()
    told[:, 6, 0] = scenario.variables[0].high  # nobody's twin would draw that
    gap = past.observed.copy()
    gap[:, 6, 0] = np.nan
    shown = []
    for observed in (told, gap):
        env = env_of(scenario, dynamics, 8)
        env.reset(seed=6, options={"history": replace(past, observed=observed)})
        shown.append(env.observed[:, 0])
    assert (shown[0] == scenario.variables[0].high).all()
    assert np.isfinite(shown[1]).all()
    assert (shown[1] < scenario.variables[0].high).all()


def test_a_picture_shows_the_past_too(dynamics, scenario):
    _, past = lived(scenario, dynamics, people("test", 2), 5)
    env = env_of(scenario, dynamics, 2, render_mode="rgb_array")
    env.reset(seed=1, options={"history": replace(past, length=np.array([5, 3]))})
    env.step(env.action_space.sample())
    for image in env.render():
        assert image.ndim == 3


def test_whoever_has_a_hidden_state_cannot_go_on():
    scenario = get("Glucose-v0")
    past = collect(scenario, people("test", 2), 0, horizon=4)
    env = env_of(scenario, "reference", 2)
    with pytest.raises(DynamicsError, match=r"GlucoseReference has no `observe`.*transformer"):
        env.reset(seed=0, options={"history": past})


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda p: p.take(np.array([0])), CohortError, "1 courses; allowed: one per slot, 2"),
        (lambda p: replace(p, observed=p.observed[..., :1]), SpecError, "declared are"),
        (lambda p: replace(p, traits={}), CohortError, "does not know trait"),
        (lambda p: replace(p, delivered=p.delivered * np.nan), SpecError, "delivered is not known for twin"),
        (lambda p: p.observed, SpecError, "is a ndarray; allowed"),
        (lambda p: replace(p, length=np.array([30, 30])), SpecError, "longer horizon"),
    ],
)
def test_impossible_pasts_are_refused_and_change_nothing(change, error, says):
    scenario = get("Glucose-v0")
    dynamics = resolve(scenario, "transformer")
    past = collect(scenario, people("test", 2), 0, horizon=40)
    past = replace(past, length=np.array([4, 4]))
    env = env_of(scenario, dynamics, 2)
    before, _ = env.reset(seed=1)
    with pytest.raises(error, match=says):
        env.reset(options={"history": change(past)})
    np.testing.assert_array_equal(env.layout.encode(env.values()), before)
