"""Does the vector env keep its books: events, horizons, autoreset, options, and what each reader may see?"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios import get
from twingym.scenarios.glucose.reference import GlucoseReference
from twingym.twins.cohort import people, split_of
from twingym.twins.errors import CohortError, DynamicsError, SpecError, UnknownNameError

GLUCOSE = get("Glucose-v0")
NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
OVERDOSE = 0.9  # on the policy's scale: about 60 times basal


def glucose_env(slots=4, **settings) -> TwinVectorEnv:
    return TwinVectorEnv(GLUCOSE, slots, dynamics="reference", **settings)


def overdose_first(env, steps):
    """Yield steps in which slot 0 gets far too much insulin and the others their basal rate."""
    actions = np.array([[OVERDOSE], *([[-0.33]] * (env.num_envs - 1))], dtype=np.float32)
    for _ in range(steps):
        yield env.step(actions)


# -- episodes end ------------------------------------------------------------------------------------------------------


def test_an_event_terminates_and_the_horizon_truncates() -> None:
    env = glucose_env(horizon=40, autoreset="disabled")
    env.reset(seed=0)
    for step, (_, _, terminated, truncated, _) in enumerate(overdose_first(env, 40), start=1):
        assert not terminated[1:].any()
        assert (truncated[1:] == (step == 40)).all()
    assert terminated[0]
    assert not truncated[0]
    assert env.observed[0, 2] == 1.0


def test_where_the_scenario_ends_the_horizon_terminates() -> None:
    env = TwinVectorEnv(NUDGE, 3, dynamics="reference", autoreset="disabled")
    env.reset(seed=0)
    for _ in range(12):
        observations, _, terminated, truncated, _ = env.step(np.zeros(3, int))
    assert terminated.all()
    assert not truncated.any()
    assert (observations[:, env.layout.names.index("time_left")] == -1.0).all()


def test_rewards_and_costs_are_the_declared_functions_of_what_was_delivered() -> None:
    env = glucose_env(horizon=60)
    env.reset(seed=1)
    for _, rewards, _, _, infos in overdose_first(env, 30):
        step = env.last_step
        np.testing.assert_array_equal(rewards, GLUCOSE.reward(step))
        for k, constraint in enumerate(GLUCOSE.costs):
            np.testing.assert_array_equal(infos["costs"][:, k], constraint.cost(step))
            np.testing.assert_array_equal(infos[f"cost_{constraint.name}"], infos["costs"][:, k])
        np.testing.assert_array_equal(infos["cost"], infos["cost_below_70"])
        np.testing.assert_array_equal(infos["delivered"][:, 0], step.delivered["insulin"])
        np.testing.assert_array_equal(infos["need"], GLUCOSE.need(step))
        assert np.isnan(infos["disagreement"]).all()
        assert not infos["shielded"].any()


# -- autoreset ---------------------------------------------------------------------------------------------------------


def until_slot_0_ends(env):
    env.reset(seed=0)
    for outcome in overdose_first(env, 60):
        if outcome[2][0]:
            return outcome
    raise AssertionError("the overdose did no harm")


def test_same_step_reset_keeps_the_last_observation_and_the_sums() -> None:
    env, still = glucose_env(), glucose_env(autoreset="disabled")
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, rewards, _, _, infos = until_slot_0_ends(env)
    person = int(infos["twin"][0])
    last = until_slot_0_ends(still)
    np.testing.assert_array_equal(infos["final_obs"][0], last[0][0])
    assert infos["final_obs"][1] is None
    assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == [True, False, False, False]
    assert not np.array_equal(observations[0], last[0][0])
    assert env.t.tolist() == [0, *[env.t[1]] * 3]
    assert env.cohort.ids[0] != person
    assert rewards[0] == last[1][0]
    assert infos["cost"][0] == last[4]["cost"][0] == 1.0
    final = infos["final_info"]
    assert final["twin"][0] == person
    assert final["episode_length"][0] == still.t[0]
    assert final["cost_return_severe_low"][0] == 1.0
    assert final["group_weight_band"][0] in ("light", "middle", "heavy")
    np.testing.assert_array_equal(final["episode_return"], last[4]["final_info"]["episode_return"])
    assert not env.over.any()


def test_next_step_reset_ignores_one_action_and_then_goes_on() -> None:
    env = glucose_env(autoreset="next_step")
    *_, infos = until_slot_0_ends(env)
    assert "final_obs" not in infos
    assert infos["final_info"]["episode_length"][0] == env.t[0]
    observations, rewards, terminated, truncated, infos = next(overdose_first(env, 1))
    assert not (terminated | truncated).any()
    assert rewards[0] == infos["cost"][0] == 0.0
    assert rewards[1] != 0.0
    assert env.t[0] == 0
    np.testing.assert_array_equal(observations, env.layout.encode(env.values()))
    *_, infos = next(overdose_first(env, 1))
    assert env.t[0] == 1
    assert "final_info" not in infos


def test_without_autoreset_an_ended_slot_stands_still_until_it_is_reset() -> None:
    env = glucose_env(autoreset="disabled")
    ended = until_slot_0_ends(env)
    t = env.t[0]
    for observations, rewards, terminated, _, infos in overdose_first(env, 3):
        np.testing.assert_array_equal(observations[0], ended[0][0])
        assert rewards[0] == infos["cost"][0] == infos["need"][0] == infos["delivered"][0, 0] == 0.0
        assert terminated[0]
        assert "final_info" not in infos
    assert env.t.tolist() == [t, *[t + 3] * 3]
    mask = np.array([True, False, False, False])
    env.reset(options={"reset_mask": mask})
    assert env.t.tolist() == [0, *[t + 3] * 3]
    assert not env.over.any()
    with pytest.raises(SpecError, match="stands alone"):
        env.reset(options={"reset_mask": mask, "twins": [1, 2, 3, 4]})
    with pytest.raises(SpecError, match="4 booleans, at least one True"):
        env.reset(options={"reset_mask": ~mask[:0]})
    with pytest.raises(SpecError, match="needs autoreset='disabled'"):
        glucose_env().reset(options={"reset_mask": mask})


# -- who comes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_people_come_from_their_split(split) -> None:
    env = glucose_env(30, people=split)
    env.reset(seed=0)
    assert (split_of(env.cohort.ids) == split).all()
    assert len(set(env.cohort.ids.tolist())) == 30


def test_people_may_come_from_a_list() -> None:
    env = glucose_env(30, people=[5, 6, 7])
    env.reset(seed=0)
    assert set(env.cohort.ids.tolist()) == {5, 6, 7}


def test_options_choose_people() -> None:
    env, ids = glucose_env(), people("test", 4)
    env.reset(seed=0, options={"twins": ids})
    np.testing.assert_array_equal(env.cohort.ids, ids)
    env.reset(seed=0, options={"condition": {"weight": (90.0, 125.0), "sensitivity_band": 2}})
    assert (env.cohort.traits["weight"] >= 90.0).all()
    assert (env.cohort.traits["sensitivity_band"] == 2.0).all()
    env.reset(seed=0, options={"condition": {"weight_band": GLUCOSE.group_levels["weight_band"][1]}})
    assert (env.cohort.traits["weight_band"] == 1.0).all()
    env.reset(seed=0, options={"twins": ids, "fixed": {"weight": 70.0}})
    np.testing.assert_array_equal(env.cohort.traits["weight"], 70.0)
    env.reset(seed=0, options={"twins": ids, "episode": [3, 4, 5, 6]})
    np.testing.assert_array_equal(env.episode, [3, 4, 5, 6])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"twins": [1, 2, 3]}, CohortError, "has 3 ids; allowed: one per slot, 4"),
        ({"twins": [1, 2, 3, -1]}, CohortError, "ids run from -1"),
        ({"twins": [1.5, 2.0, 3.0, 4.0]}, CohortError, "type float64"),
        ({"twin": [1, 2, 3, 4]}, UnknownNameError, "unknown reset option 'twin'. Did you mean 'twins'?"),
        ({"condition": {"wieght": (0, 1)}}, UnknownNameError, "unknown trait 'wieght'. Did you mean 'weight'?"),
        ({"condition": {"weight": (1.0, 2.0)}}, CohortError, "nobody fits"),
        ({"condition": {"weight": (50.0,)}}, CohortError, "a range (low, high) in kg"),
        ({"condition": {"weight_band": "heavi"}}, UnknownNameError, "unknown level of weight_band 'heavi'"),
        ({"fixed": {"wieght": 70.0}}, UnknownNameError, "unknown trait 'wieght'. Did you mean 'weight'?"),
        ({"fixed": {"weight": 7000.0}}, CohortError, "fixed['weight'] is 7000; allowed: "),
        ({"fixed": {"weight_band": 2}}, CohortError, "trait 'weight_band' cannot be imposed"),
        ({"condition": 3}, SpecError, "a mapping from trait to value"),
        ({"episode": -1}, SpecError, "a whole number from 0"),
        ({"episode": [1, 2]}, SpecError, "one per slot"),
    ],
)
def test_a_refused_reset_changes_nothing(options, error, message) -> None:
    env, twin = glucose_env(), glucose_env()
    for each in (env, twin):
        each.reset(seed=3)
        next(overdose_first(each, 1))
    with pytest.raises(error, match=re.escape(message)):
        env.reset(seed=9, options=options)
    for mine, theirs in zip(overdose_first(env, 3), overdose_first(twin, 3), strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(env.reset()[0], twin.reset()[0])


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_impossible_seeds_are_refused(seed) -> None:
    with pytest.raises(SpecError, match="allowed: 0 to 2"):
        glucose_env().reset(seed=seed)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"dynamics": "referense"}, UnknownNameError, "Did you mean 'reference'"),
        ({"dynamics": object()}, SpecError, "lacks initial, step, restart, take, noise_width"),
        ({"people": "tests"}, UnknownNameError, "Did you mean 'test'"),
        ({"autoreset": "next"}, UnknownNameError, "Did you mean 'next_step'"),
        ({"render_mode": "human"}, UnknownNameError, "unknown render mode"),
        ({"num_envs": 0}, SpecError, "num_envs is 0; allowed: 1 or more"),
        ({"horizon": 0}, SpecError, "horizon is 0; allowed: 1 or more"),
        ({"scenario": "Glucos-v0"}, UnknownNameError, "Did you mean 'Glucose-v0'"),
    ],
)
def test_bad_settings_are_refused(settings, error, message) -> None:
    with pytest.raises(error, match=message):
        TwinVectorEnv(**{"scenario": GLUCOSE, "dynamics": "reference", **settings})


def test_a_scenario_without_a_reference_says_so() -> None:
    with pytest.raises(SpecError, match="has no reference; 'transformer' is its twin model, and 'challenger'"):
        TwinVectorEnv(replace(GLUCOSE, reference=None), dynamics="reference")


def test_nobody_steps_before_a_reset() -> None:
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        glucose_env().step(np.zeros((4, 1)))


# -- who sees what -----------------------------------------------------------------------------------------------------


def test_reward_and_costs_cannot_read_auditor_variables() -> None:
    env = TwinVectorEnv(replace(GLUCOSE, reward=lambda step: step.after["glucose"]), 2, dynamics="reference")
    env.reset(seed=0)
    with pytest.raises(UnknownNameError, match="unknown variable 'glucose'"):
        env.step(np.zeros((2, 1)))


def test_each_reader_sees_its_part() -> None:
    env = glucose_env()
    env.reset(seed=0)
    assert env.audit_step is None
    before = env.audit_values()
    *_, (*_, infos) = overdose_first(env, 2)
    last, audit = env.last_step, env.audit_step
    assert {"glucose", "severe_low", "carbs", "iob"} <= set(before)
    assert not {"glucose", "severe_low", "carbs"} & set(env.values())
    assert "severe_low" in last.after
    assert "glucose" not in last.after
    assert set(audit.after) - set(last.after) == {"glucose"}
    np.testing.assert_array_equal(audit.after["glucose"], env.observed[:, 1])
    np.testing.assert_array_equal(audit.delivered["insulin"], infos["delivered"][:, 0])
    for name, values in last.before.items():
        np.testing.assert_array_equal(audit.before[name], values)


class Broken(GlucoseReference):
    """Says NaN for one variable of one person at one step."""

    def __init__(self, variable: int, say: float = np.nan) -> None:
        super().__init__()
        self.variable, self.say, self.steps = variable, say, 0

    def step(self, state, action, inputs, noise):
        state, observed = super().step(state, action, inputs, noise)
        self.steps += 1
        if self.steps == 2:
            observed[1, self.variable] = self.say
        return state, observed


@pytest.mark.parametrize("say", [np.nan, np.inf])
def test_a_missing_variable_is_named_with_its_twin_and_step(say) -> None:
    env = TwinVectorEnv(GLUCOSE, 3, dynamics=Broken(0, say))
    env.reset(seed=0, options={"twins": [10, 11, 12]})
    env.step(np.zeros((3, 1)))
    with pytest.raises(DynamicsError, match=r"'cgm' is (nan|inf) for twin 11 at step 2; allowed: 39 to 600 mg/dL"):
        env.step(np.zeros((3, 1)))


def test_a_missing_auditor_variable_is_nobodys_business() -> None:
    env = TwinVectorEnv(GLUCOSE, 3, dynamics=Broken(1))
    env.reset(seed=0)
    for _ in range(2):
        observations, rewards, *_ = env.step(np.zeros((3, 1)))
    assert np.isnan(env.observed[1, 1])
    assert np.isfinite(observations).all()
    assert np.isfinite(rewards).all()


def test_observed_values_are_clipped_to_their_bounds() -> None:
    env = TwinVectorEnv(GLUCOSE, 3, dynamics=Broken(0, 1e4))
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros((3, 1)))
    assert env.observed[1, 0] == 600.0


# -- hard constraints --------------------------------------------------------------------------------------------------


def test_a_hard_constraint_changes_what_is_delivered_and_the_cost_is_of_that() -> None:
    env = TwinVectorEnv(NUDGE, 5, dynamics="reference", autoreset="disabled")
    env.reset(seed=2)
    asked = np.array([1, 2, 1, 0, 2])
    for week in range(6):
        masks = env.action_masks()
        *_, infos = env.step(asked)
        rests = week % 2 == 1
        wanted = np.where(rests, 0, asked)
        live = infos["delivered"][:, 0] * ~env.over == wanted * ~env.over
        assert live.all()
        assert (infos["cost_in_a_row"] == 0.0).all()
        going = ~env.over
        assert (infos["shielded"][going] == (rests & (asked > 0))[going]).all()
        np.testing.assert_array_equal(masks[going & (asked > 0)][:, 1:], not rests)
        assert masks[:, 0].all()


def test_masks_need_one_choice_between_levels() -> None:
    env = glucose_env()
    env.reset(seed=0)
    with pytest.raises(Exception, match="Discrete action space"):
        env.action_masks()
