"""Does a twin that has read a person's past know the person, and do policies meet the same luck in its futures?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twingym.envs.behaviour import collect
from twingym.evaluation.personal import error_by_history, personalise
from twingym.scenarios import get
from twingym.scenarios.table.courses import course_frame
from twingym.twins import people
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


def late_purchases(count: int, samples: int, lengths: tuple[int, ...]):
    scenario = get("Retention-v0")
    courses = collect(scenario, people("test", count), 3)
    whole = courses.take(np.flatnonzero(courses.length == courses.delivered.shape[1]))
    return error_by_history(scenario, whole, lengths, since=26, variable="purchases", samples=samples)


def test_the_rest_of_a_course_is_known_better_once_its_beginning_was_read():
    nothing, half_a_year = late_purchases(80, 10, (0, 26))["crps"]
    assert half_a_year < 0.8 * nothing


@pytest.mark.slow
def test_error_falls_with_every_length_of_history():
    found = late_purchases(300, 20, (0, 4, 12, 26))
    assert (np.diff(found["crps"]) < 0.0).all()
    assert (np.diff(found["error"]) < 0.0).all()
