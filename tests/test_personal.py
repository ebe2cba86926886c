"""Does a twin that has read a person's past know the person, and do policies meet the same luck in its futures?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.envs.behaviour import collect
from twingym.evaluation.history_value import error_by_history
from twingym.evaluation.personal import personalise
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.scenarios.table.courses import course_frame
from twingym.twins import people
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError, UnknownNameError


@pytest.fixture(scope="module")
def twin():
    scenario = get("Glucose-v0")
    past = replace(collect(scenario, people("test", 2), 1, horizon=40), length=np.array([36, 30]))
    return personalise(scenario, past)


@pytest.fixture(scope="module")
def futures(twin):
    return twin.branch(["basal_bolus", "closed_loop", "constant_basal"], steps=24, samples=20)


def test_policies_go_on_from_the_same_point_with_the_same_luck(twin, futures):
    first = [futures.values(name, "cgm")[..., 0] for name in futures.courses]
    recorded = [twin.history.observed[k, n, 0] for k, n in enumerate(twin.history.length)]
    for values in first:
        np.testing.assert_allclose(values, np.tile(recorded, (20, 1)), rtol=1e-6)
    meals = [futures.values(name, "carbs") for name in futures.courses]
    np.testing.assert_array_equal(meals[0], meals[1])
    again = twin.branch(["basal_bolus", "pid"], steps=24, samples=20)
    np.testing.assert_array_equal(again.values("basal_bolus", "cgm"), futures.values("basal_bolus", "cgm"))


def test_futures_differ_and_their_bands_and_summary_are_in_order(twin, futures):
    bands = futures.bands()
    assert set(bands["variable"]) == {"cgm"}
    assert len(bands) == 3 * 2 * 25
    assert ((bands["low"] <= bands["median"]) & (bands["median"] <= bands["high"])).all()
    late = bands[bands["time"] == bands["time"].max()]
    assert (late["high"] - late["low"] > 5.0).all()
    table = futures.summary().set_index(["policy", "person", "measure"])
    person = int(twin.history.ids[0])
    assert table.loc[("basal_bolus", person, "below_70"), "limit"] == 0.04
    assert table.loc[("basal_bolus", person, "time_in_range"), "mean"] <= 1.0


def test_a_table_of_a_course_is_a_history_too(twin):
    frame = course_frame(twin.scenario, twin.history)
    np.testing.assert_array_equal(personalise("Glucose-v0", frame).history.length, twin.history.length)


def test_impossible_branches_are_refused(twin):
    with pytest.raises(UnknownNameError, match="closed_loop"):
        twin.branch(["closed_lop"])
    with pytest.raises(SpecError, match="samples is 0"):
        twin.branch(["pid"], samples=0)
    with pytest.raises(SpecError, match="policies is empty"):
        twin.branch([])
    with pytest.raises(SpecError, match=r"steps is 2.7; allowed: a whole number"):
        twin.branch(["pid"], steps=2.7)
    with pytest.raises(SpecError, match="history has 0 people; allowed: the recorded courses of one or more"):
        personalise(twin.scenario, twin.history.take(np.zeros(0, dtype=np.intp)))


def late_purchases(count: int, samples: int, lengths: tuple[int, ...]):
    scenario = get("Retention-v0")
    courses = collect(scenario, people("test", count), 3)
    whole = courses.take(np.flatnonzero(courses.length == courses.delivered.shape[1]))
    return error_by_history(scenario, whole, lengths, since=26, variable="purchases", samples=samples)


def test_the_rest_of_a_course_is_known_better_once_its_beginning_was_read():
    nothing, half_a_year = late_purchases(80, 10, (0, 26))["crps"]
    assert half_a_year < 0.8 * nothing


@pytest.fixture(scope="module")
def eaten():
    """Courses of Glucose, with their meals."""
    courses = collect("Glucose-v0", people("test", 16), 3, horizon=144)
    return courses.take(np.flatnonzero(courses.length == 144))


def glucose_by_history(courses, lengths=(0, 72), since=72, variable="cgm", samples=8):
    return error_by_history(get("Glucose-v0"), courses, lengths, since=since, variable=variable, samples=samples)


def test_with_the_meals_that_were_eaten_a_read_past_makes_glucose_known_better(eaten):
    """With other meals in place of them it grows: nearly all of the error is theirs."""
    found = glucose_by_history(eaten)
    assert found["crps"][1] < 0.9 * found["crps"][0]
    assert found["error"][1] < 0.95 * found["error"][0]
    assert (found["people"] == len(eaten)).all()


def test_readings_that_are_missing_count_in_neither_sum(eaten):
    few, observed = eaten.take(np.arange(4)), eaten.observed[:4].copy()
    observed[0, 80:90, 0], observed[1, 73:, 0] = np.nan, np.nan
    found = glucose_by_history(replace(few, observed=observed), lengths=(12,))
    assert np.isfinite(found.to_numpy()).all()
    assert found["people"].tolist() == [3]
    observed[:, 73:, 0] = np.nan
    with pytest.raises(SpecError, match="nobody has both a reading of 'cgm' after step 72"):
        glucose_by_history(replace(few, observed=observed), lengths=(12,))


def test_impossible_questions_about_a_past_are_refused(eaten):
    with pytest.raises(UnknownNameError, match=r"unknown tracked variable 'cmg'\. Did you mean 'cgm'"):
        glucose_by_history(eaten, variable="cmg")
    with pytest.raises(SpecError, match="since is step 144; allowed: 0 to 143"):
        glucose_by_history(eaten, since=144)
    with pytest.raises(SpecError, match=r"lengths are \[0, 73\]; allowed"):
        glucose_by_history(eaten, lengths=(0, 73))
    with pytest.raises(SpecError, match="courses last 40 to 144 steps; allowed: all of the same length"):
        glucose_by_history(replace(eaten, length=np.r_[40, eaten.length[1:]]))


@pytest.mark.slow
def test_error_falls_with_every_length_of_history():
    found = late_purchases(300, 20, (0, 4, 12, 26))
    assert (np.diff(found["crps"]) < 0.0).all()
    assert (np.diff(found["error"]) < 0.0).all()


def recorded_under(scenario, rule: str, steps: int):
    """Return the course of somebody who lived through ``steps`` under a rule, and went on."""
    env = TwinVectorEnv(scenario, 1, dynamics="reference", horizon=scenario.judged_horizon, autoreset="disabled")
    observations, _ = env.reset(seed=0, options={"twins": people("test", 1)})
    policy, memory = RulePolicy(scenario, rule), None
    observed, delivered, inputs = [env.observed[0].copy()], [], [env.inputs[0].copy()]
    for _ in range(steps):
        actions, memory = policy.predict(observations, memory)
        observations, *_, infos = env.step(actions)
        delivered.append(infos["delivered"][0].copy())
        observed.append(env.observed[0].copy())
        inputs.append(env.inputs[0].copy())
    assert not env.over.any()
    series = (np.array([a]) for a in (observed, delivered, inputs))
    return Courses(env.cohort.ids, dict(env.cohort.traits), *series, np.full((1, steps), np.nan), env.t.copy())


WITH_MEMORY = [(name, r) for name in names() if ships(name) for r, rule in get(name).rules.items() if rule.memory]


@pytest.mark.parametrize(("name", "rule"), WITH_MEMORY)
def test_a_rule_goes_on_as_if_it_had_watched_the_recorded_past(name, rule):
    """Somebody who lived under the rule is cut off at every step: what it gives next is what it gave then."""
    scenario, steps = get(name), 36
    course = recorded_under(scenario, rule, steps)
    past = replace(course.take(np.zeros(steps, dtype=np.intp)), length=np.arange(steps))
    futures = personalise(scenario, past).branch([rule], steps=1, samples=1)
    given = np.array([futures.values(rule, i.name)[0, :, 0] for i in scenario.interventions]).T
    np.testing.assert_allclose(given, course.delivered[0], rtol=1e-6)
    assert len(np.unique(given.round(6))) > 1
