"""Do observations and actions mean what the scenario declares, and is nonsense refused by name?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twingym.envs.actions import ActionMap
from twingym.envs.layout import ObservationLayout
from twingym.envs.rule_policy import RulePolicy
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios import get
from twingym.scenarios.rule import Rule
from twingym.twins.cohort import people
from twingym.twins.errors import ActionError, CohortError, SpecError, UnknownNameError

GLUCOSE = get("Glucose-v0")
NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
SCENARIOS = [pytest.param(GLUCOSE, id="Glucose"), pytest.param(NUDGE, id="Nudge")]


def lived(scenario, observation="scaled", steps=5, slots=9):
    """Return an env that has made some steps, and its last observations."""
    env = TwinVectorEnv(scenario, slots, dynamics="reference", observation=observation)
    observations, _ = env.reset(seed=4)
    env.action_space.seed(0)
    for _ in range(steps):
        observations, *_ = env.step(env.action_space.sample())
    return env, observations


def test_columns_are_what_the_policy_may_see() -> None:
    names = ObservationLayout(GLUCOSE).names
    assert names[:4] == ("weight", "basal", "cgm", "announced")
    assert not {"glucose", "severe_low", "carbs", "weight_band"} & set(names)
    assert ObservationLayout(NUDGE).names == (
        "age",
        "band=young",
        "band=middle",
        "band=old",
        "mood",
        "rest",
        "time_left",
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("observation", ["scaled", "raw"])
def test_decoding_brings_back_what_the_policy_sees(scenario, observation) -> None:
    env, observations = lived(scenario, observation)
    assert env.observation_space.contains(observations)
    decoded = env.layout.decode(observations)
    assert list(decoded) == [v.name for v in env.layout.variables]
    for variable in env.layout.variables:
        seen = np.clip(env.values()[variable.name], variable.low, variable.high)
        span = variable.high - variable.low
        np.testing.assert_allclose(decoded[variable.name], seen, atol=1e-6 * span, rtol=1e-5)


def test_scaling_is_the_one_declared() -> None:
    env, observations = lived(GLUCOSE)
    for column, variable in enumerate(env.layout.variables):
        wanted = variable.to_unit(env.values()[variable.name])
        np.testing.assert_allclose(observations[:, column], wanted, atol=1e-6)


def test_what_is_left_of_the_horizon_is_seen() -> None:
    env, observations = lived(NUDGE, "raw", steps=3)
    seen = dict(zip(env.layout.names, observations.T, strict=True))
    np.testing.assert_allclose(seen["time_left"], 1.0 - env.t / 12.0, rtol=1e-6)
    assert (seen["band=young"] + seen["band=middle"] + seen["band=old"] == 1.0).all()


def test_an_unknown_kind_of_observation_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'scaled'"):
        ObservationLayout(GLUCOSE, "scale")  # type: ignore[arg-type]


def test_amounts_are_bounded_per_person_and_come_back() -> None:
    cohort = GLUCOSE.people.sample(people("train", 50))
    traits, actions = dict(cohort.traits), ActionMap(GLUCOSE)
    unit = np.linspace(-1.0, 1.0, 50)[:, None]
    amounts = actions.to_amounts(unit, traits)
    assert amounts[0, 0] == 0.0
    np.testing.assert_allclose(amounts[-1, 0], min(128.0 * traits["basal"][-1], 400.0))
    within = amounts[:, 0] < 400.0
    np.testing.assert_allclose(actions.to_actions(amounts, traits)[within], unit[within], atol=1e-6)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full((2, 1), np.nan), "'insulin': action is nan in row 0; allowed: -1 to 1, for 0 to 128 U/h times basal"),
        (np.array([[0.0], [1.001]]), "'insulin': action is 1.001 in row 1"),
        (np.zeros(2), r"shape \(2,\); allowed: \(2, 1\), one row per person, columns insulin"),
        (np.zeros((3, 1)), r"shape \(3, 1\)"),
        (np.array([["a"], ["b"]]), "type <U1; allowed: numbers"),
    ],
)
def test_bad_amounts_are_refused_by_name(action, message) -> None:
    traits = {"basal": np.ones(2)}
    with pytest.raises(ActionError, match=message):
        ActionMap(GLUCOSE).to_amounts(action, traits)


def test_rounding_beyond_the_range_is_clipped() -> None:
    traits = {"basal": np.ones(2)}
    amounts = ActionMap(GLUCOSE).to_amounts([[1.0 + 9e-5], [-1.0 - 9e-5]], traits)
    np.testing.assert_allclose(amounts[:, 0], [128.0, 0.0])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.array([0, 3]), r"'contact': action is 3 in row 1; allowed: 0 \(nothing\), 1 \(text\), 2 \(call\)"),
        (np.array([0.5, 1.0]), "action is 0.5 in row 0"),
        (np.array([[0], [1]]), r"shape \(2, 1\); allowed: \(2,\)"),
    ],
)
def test_bad_levels_are_refused_by_name(action, message) -> None:
    with pytest.raises(ActionError, match=message):
        ActionMap(NUDGE).to_amounts(action, {"age": np.ones(2)})


def test_a_rule_delivers_what_it_says() -> None:
    env = TwinVectorEnv(GLUCOSE, 20, dynamics="reference")
    observations, _ = env.reset(seed=1)
    policy = RulePolicy(GLUCOSE, "basal_bolus")
    for _ in range(100):
        wanted = policy.rule.act(env.values(), {}, policy.rule.settings)["insulin"]
        actions, state = policy.predict(observations)
        assert state is None
        observations, *_, infos = env.step(actions)
        wanted = np.minimum(wanted, np.minimum(128.0 * env.last_step.before["basal"], 400.0))
        np.testing.assert_allclose(infos["delivered"][:, 0], wanted, rtol=2e-5, atol=1e-6)


def test_a_rule_remembers_in_the_state_and_forgets_at_a_start() -> None:
    policy = RulePolicy(NUDGE, "every_other")
    observations = ObservationLayout(NUDGE).encode(lived(NUDGE)[0].values())
    first, state = policy.predict(observations)
    again, _ = policy.predict(observations)
    second, _ = policy.predict(observations, state)
    start = np.arange(len(observations)) == 2
    mixed, _ = policy.predict(observations, state, episode_start=start)
    assert (first == 1).all()
    assert (again == 1).all()
    assert (second == 0).all()
    assert (mixed == start).all()
    single, _ = policy.predict(observations[0])
    assert single.shape == ()


def test_settings_per_person_are_looked_up_by_id() -> None:
    ids = people("test", 4)
    factors = {int(i): 1.0 + n for n, i in enumerate(ids)}
    policy = RulePolicy(GLUCOSE, "constant_basal", {"factor": factors})
    env = TwinVectorEnv(GLUCOSE, 4, dynamics="reference")
    observations, _ = env.reset(seed=0, options={"twins": ids[::-1]})
    policy.meet(env.cohort)
    *_, infos = env.step(policy.predict(observations)[0])
    np.testing.assert_allclose(infos["delivered"][:, 0] / env.cohort.traits["basal"], [4.0, 3.0, 2.0, 1.0], rtol=1e-5)
    env.reset(seed=0, options={"twins": people("test", 4, start=100_000)})
    with pytest.raises(CohortError, match="'factor' is unknown for twin"):
        policy.meet(env.cohort)


def test_observations_of_another_scenario_are_refused() -> None:
    with pytest.raises(SpecError, match=r"7 columns; allowed: the scenario's 14, weight, basal"):
        RulePolicy(GLUCOSE, "basal_bolus").predict(np.zeros((3, 7), np.float32))


def test_rules_may_not_read_what_is_hidden() -> None:
    peeking = Rule(lambda now, memory, settings: {"insulin": now["glucose"]})
    with pytest.raises(UnknownNameError, match="unknown variable 'glucose'"):
        RulePolicy(GLUCOSE, peeking).predict(np.zeros((1, len(ObservationLayout(GLUCOSE).names)), np.float32))
