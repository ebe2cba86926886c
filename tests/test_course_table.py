"""Does a table of recorded courses come in as it is, and is all that is wrong with one told at once?"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from twingym.envs.behaviour import collect
from twingym.scenarios import get
from twingym.scenarios.table.courses import course_frame, course_problems, read_courses
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
        "row 10, time: 0; allowed: each time of a person once.",
    ):
        assert said in text


def test_unknown_missing_and_computed_columns_are_told():
    scenario, courses = courses_of("Glucose-v0")
    frame = course_frame(scenario, courses).rename(columns={"cgm": "cmg"}).assign(iob=0.0)
    with pytest.raises(SpecError) as refusal:
        read_courses(scenario, frame)
    for said in ("3 problems", "Did you mean 'cgm'", "column 'cgm' is missing (mg/dL)", "'iob' is computed"):
        assert said in str(refusal.value)


def test_what_is_no_table_is_refused(tmp_path):
    scenario = get("Glucose-v0")
    with pytest.raises(SpecError, match="cannot be read as a course table"):
        read_courses(scenario, tmp_path / "none.csv")
    with pytest.raises(SpecError, match="no rows"):
        read_courses(scenario, course_frame(scenario, courses_of("Glucose-v0")[1]).head(0))
    assert isinstance(course_frame(scenario, courses_of("Glucose-v0")[1]), pd.DataFrame)


def broken(**cells):
    """Return problems of a table in which ``column_row=value`` was written, rows as a spreadsheet counts them."""
    scenario, courses = courses_of("Glucose-v0")
    frame = course_frame(scenario, courses).astype(object)
    for place, value in cells.items():
        column, _, row = place.rpartition("_")
        frame.loc[int(row) - 2, column] = value
    found = course_problems(scenario, frame)
    return {(p.row, p.column): f"{p.value}; allowed: {p.allowed}" for p in found.itertuples()}


@pytest.mark.parametrize(
    ("cells", "place", "said"),
    [
        ({"time_4": 5.0}, (4, "time"), "5.0; allowed: each time of a person once"),
        ({"time_4": 20.0, "time_5": 10.0}, (5, "time"), "10.0; allowed: sorted"),
        ({"time_2": -5.0}, (2, "time"), "-5.0; allowed: 0 min (birth) or more"),
        ({"time_3": "soon"}, (3, "time"), "soon; allowed: a number of min"),
        ({"time_3": np.nan}, (3, "time"), "empty; allowed: a number of min"),
        ({"time_8": 45.0}, (8, "time"), "45.0; allowed: 5 min after the person's row before: a row each 5"),
        (
            {"time_9": 5.0, "time_10": 10.0, "time_11": 15.0},
            (9, "time"),
            "5.0; allowed: 0 min in a person's first row: birth",
        ),
        ({"person_3": "Ann"}, (3, "person"), "Ann; allowed: a whole number from 0 to 2147483647"),
        ({"person_3": 1.5}, (3, "person"), "1.5; allowed: a whole number"),
        ({"cgm_3": "high"}, (3, "cgm"), "high; allowed: 39 to 600 mg/dL, a number"),
        ({"cgm_3": "5,4"}, (3, "cgm"), "5,4; allowed: 39 to 600 mg/dL, a number"),
        ({"cgm_3": 5.4}, (3, "cgm"), "5.4; allowed: 39 to 600 mg/dL; in mmol/L it would fit: one unit for all"),
        ({"cgm_3": np.inf}, (3, "cgm"), "inf; allowed: 39 to 600 mg/dL"),
        ({"weight_band_3": "huge"}, (3, "weight_band"), "huge; allowed: light, middle, heavy"),
        ({"weight_band_3": 1.5}, (3, "weight_band"), "1.5; allowed: light, middle, heavy"),
    ],
)
def test_each_thing_that_a_table_gets_wrong_is_told_once_where_it_is(cells, place, said):
    found = broken(**cells)
    assert said in found.get(place, ""), found
    others = {other for other in found if other != place and other[1] == place[1]}
    assert not others or place[1] in ("time", "person"), found


def test_a_column_of_nothing_and_too_few_people_are_told():
    scenario, courses = courses_of("Glucose-v0")
    frame = course_frame(scenario, courses).assign(cgm=np.nan)
    found = course_problems(scenario, frame, least_people=10)
    assert list(found["row"]) == [0, 0]
    assert found["allowed"][0] == "column 'person' names 3 people; at least 10 are needed."
    assert found["allowed"][1].startswith("column 'cgm' is empty in all 15 rows")
    doubled = course_frame(scenario, courses)
    doubled.insert(1, "cgm", 100.0, allow_duplicates=True)
    assert "is there 2 times" in course_problems(scenario, doubled)["allowed"][0]


def test_the_rows_of_people_may_be_mixed_and_people_keep_the_order_in_which_they_appear():
    scenario, courses = courses_of("Glucose-v0")
    frame = course_frame(scenario, courses)
    mixed = frame.sort_values("time", kind="stable")
    again = read_courses(scenario, mixed)
    np.testing.assert_array_equal(again.ids, courses.ids)
    np.testing.assert_array_equal(again.length, courses.length)
    for row, steps in enumerate(courses.length):
        np.testing.assert_allclose(again.observed[row, : steps + 1], courses.observed[row, : steps + 1])
    last_first = read_courses(scenario, frame.iloc[::-1].sort_values("time", kind="stable"))
    assert set(last_first.ids) == set(courses.ids)
    assert last_first.ids[0] == courses.ids[-1]


@pytest.mark.parametrize("rows", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_million_rows_take_seconds_whether_right_or_wrong(rows):
    scenario, courses = courses_of("Glucose-v0")
    one = course_frame(scenario, courses.take(np.array([0])))
    count = rows // len(one) + 1
    frame = pd.concat([one] * count, ignore_index=True)
    frame["person"] = np.repeat(np.arange(count), len(one))
    begun = time.process_time()
    assert len(read_courses(scenario, frame)) == count
    frame["cgm"] = 5.4
    frame.loc[::7, "time"] = -1.0
    with pytest.raises(SpecError) as refusal:
        read_courses(scenario, frame)
    assert time.process_time() - begun < 2.0 + 1e-5 * rows
    told = str(refusal.value)
    assert len(told) < 25_000
    assert f"\n  cgm: rows 2 to {len(frame) + 1} (" in told
    assert f"and {len(frame) - 6:,} more rows, cgm; allowed: 39 to 600 mg/dL; in mmol/L it would fit" in told
