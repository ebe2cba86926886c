"""Does a table of recorded courses come in as it is, and is all that is wrong with one told at once?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from twingym.envs.behaviour import collect
from twingym.scenarios import get
from twingym.scenarios.course_table import course_frame, read_courses
from twingym.twins import people
from twingym.twins.errors import SpecError


def courses_of(name: str, steps: int = 6):
    scenario = get(name)
    found = collect(scenario, people("test", 3), 1, horizon=40)
    return scenario, replace(found, length=np.array([steps, 2, 4]))


@pytest.mark.parametrize("name", ["Glucose-v0", "Retention-v0"])
def test_courses_survive_a_file(name, tmp_path):
    scenario, courses = courses_of(name)
    course_frame(scenario, courses).to_csv(tmp_path / "c.csv", index=False)
    again = read_courses(scenario, tmp_path / "c.csv")
    np.testing.assert_array_equal(again.ids, courses.ids)
    np.testing.assert_array_equal(again.length, courses.length)
    for trait, values in courses.traits.items():
        np.testing.assert_allclose(again.traits[trait], values)
    for row, steps in enumerate(courses.length):
        np.testing.assert_allclose(again.observed[row, : steps + 1], courses.observed[row, : steps + 1])
        np.testing.assert_allclose(again.delivered[row, :steps], courses.delivered[row, :steps])
        np.testing.assert_allclose(again.inputs[row, : steps + 1], courses.inputs[row, : steps + 1])


def test_an_empty_cell_is_a_missing_reading_and_one_person_needs_no_number():
    scenario, courses = courses_of("Glucose-v0")
    frame = course_frame(scenario, courses.take(np.array([0]))).drop(columns=["person", "severe_low", "glucose"])
    frame.loc[3, "cgm"] = np.nan
    found = read_courses(scenario, frame)
    assert found.ids.tolist() == [0]
    assert np.isnan(found.observed[0, :, 0]).tolist() == [False, False, False, True, False, False, False]


def test_all_problems_are_told_at_once_with_rows_and_units():
    scenario, courses = courses_of("Glucose-v0")
    frame = course_frame(scenario, courses).astype({"weight_band": object})
    frame.loc[1, "cgm"] = 9000.0
    frame.loc[2, "insulin"] = np.nan
    frame.loc[3, "weight"] = 55.0
    frame.loc[4, "weight_band"] = "huge"
    frame.loc[6, "insulin"] = 1.0
    frame.loc[8, "time"] = 0.0
    with pytest.raises(SpecError) as refusal:
        read_courses(scenario, frame)
    text = str(refusal.value)
    for said in (
        "row 3, cgm: 9000.0; allowed: 39 to 600 mg/dL.",
        "row 4, insulin: empty; allowed: known in all rows but the last",
        "row 5, weight: 55.0; allowed: one value per person",
        "row 6, weight_band: huge; allowed: light, middle, heavy.",
        "row 8, insulin: 1.0; allowed: empty in the last row",
        "row 10, time: 0; allowed: 5 min: a row each 5, sorted, from 0 at birth",
    ):
        assert said in text


def test_unknown_missing_and_computed_columns_are_told():
    scenario, courses = courses_of("Glucose-v0")
    frame = course_frame(scenario, courses).rename(columns={"cgm": "cmg"}).assign(iob=0.0)
    with pytest.raises(SpecError) as refusal:
        read_courses(scenario, frame)
    for said in ("3 problems", "Did you mean 'cgm'", "column 'cgm' is missing (mg/dL)", "'iob': it is computed"):
        assert said in str(refusal.value)


def test_what_is_no_table_is_refused(tmp_path):
    scenario = get("Glucose-v0")
    with pytest.raises(SpecError, match="cannot be read as a course table"):
        read_courses(scenario, tmp_path / "none.csv")
    with pytest.raises(SpecError, match="no rows"):
        read_courses(scenario, course_frame(scenario, courses_of("Glucose-v0")[1]).head(0))
    assert isinstance(course_frame(scenario, courses_of("Glucose-v0")[1]), pd.DataFrame)
