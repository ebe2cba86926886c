"""Is everything that a table gets wrong told at once, with its rows, before anything is made of it?"""

from __future__ import annotations

import copy
import time

import numpy as np
import pandas as pd
import pytest

from twingym.scenarios import TableError, from_table
from twingym.scenarios.table.mixed_units import mixed
from twingym.scenarios.table.people import numbers_of
from twingym.twins import split_of
from twingym.twins.errors import SpecError, UnknownNameError

SPEC = {
    "id": "Clinic-v0",
    "title": "A clinic",
    "kind": "patient",
    "dt": 0.5,
    "dt_unit": "years",
    "horizon": 4,
    "groups": ["sex"],
    "table": {"person": "patient", "time": "year"},
    "traits": {"sex": {"levels": ["female", "male"]}, "age": {"unit": "years", "low": 18.0, "high": 100.0}},
    "variables": {
        "glucose": {"unit": "mg/dL", "low": 20.0, "high": 600.0, "scale": "log", "units": {"mmol/L": 1 / 18.016}},
        "visits": {"kind": "count", "high": 20.0},
    },
    "interventions": {"drug": {"levels": ["none", "metformin"]}},
    "reward": [{"of": "glucose", "weight": -0.01}],
    "constraints": {
        "low": {"of": "glucose", "below": 70.0, "limit": 0.1, "primary": True},
        "gap": {"trait": "sex", "metric": "low", "kind": "group_gap", "limit": 0.1},
    },
}


def clinic(people: int = 60, visits: int = 4) -> pd.DataFrame:
    """A table without a problem, at irregular times."""
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(people), visits)
    first = np.arange(people * visits) % visits == 0
    gap = np.where(first, 0.0, random.uniform(0.4, 0.9, people * visits))
    return pd.DataFrame(
        {
            "patient": person,
            "year": gap.reshape(people, visits).cumsum(axis=1).ravel(),
            "sex": np.where(person % 2, "male", "female"),
            "age": 40.0 + person % 30,
            "glucose": np.exp(random.normal(4.8, 0.2, people * visits)).round(1),
            "visits": random.integers(0, 5, people * visits),
            "drug": np.where((person + np.arange(people * visits)) % 3 == 0, "metformin", "none"),
        }
    )


def refused(frame: pd.DataFrame, spec: dict = SPEC) -> TableError:
    with pytest.raises(TableError) as refusal:
        from_table(spec, frame)
    return refusal.value


def test_a_good_table_is_taken_and_left_as_it_is():
    frame = clinic()
    before = frame.copy()
    assert len(from_table(SPEC, frame).recorded.courses) == 60
    pd.testing.assert_frame_equal(frame, before)


def test_all_problems_are_told_at_once_with_their_rows():
    frame = clinic().astype({"glucose": object, "patient": object, "visits": float})
    frame.loc[1, "glucose"] = "high"
    frame.loc[2, "glucose"] = 9000.0
    frame.loc[3, "visits"] = 2.5
    frame.loc[5, "sex"] = "mael"
    frame.loc[6, "drug"] = None
    frame.loc[9, "age"] = 90.0
    frame.loc[12, "year"] = -1.0
    frame.loc[18, "year"] = frame.loc[17, "year"]
    frame.loc[23, "year"] = 0.01
    frame.loc[25, "patient"] = None
    frame.loc[28, "age"] = np.inf
    error = refused(frame)
    for said in (
        "table, row 3, glucose: text, high; allowed: 20 to 600 mg/dL.",
        "table, row 4, glucose: 9000.0; allowed: 20 to 600 mg/dL.",
        "table, row 5, visits: 2.5; allowed: whole numbers from 0 to 20.",
        "table, row 7, sex: mael; allowed: female, male.",
        "table, row 8, drug: not known; allowed: what was given from this row on.",
        "table, rows 10 to 13, age: changes within a person: 42.0, 90.0; allowed: one value per person",
        "table, row 14, year: -1.0; allowed: 0 years or later",
        "table, rows 19, 20, year: the same person at the same time twice; allowed: one row per person and time.",
        "table, row 25, year: earlier than the person's row before; allowed: sorted times.",
        "table, row 27, patient: empty; allowed: whose row it is.",
        "table, row 30, age: inf; allowed: 18 to 100 years.",
    ):
        assert said in str(error)
    assert len(error.problems) == 11
    rows = error.frame()
    assert set(rows["column"]) == {"glucose", "visits", "sex", "drug", "age", "year", "patient"}
    assert rows.loc[rows["found"].str.startswith("changes"), "row"].tolist() == [10, 11, 12, 13]


def test_columns_that_are_missing_or_unknown_hide_nothing_else():
    frame = clinic().rename(columns={"glucose": "glucoes", "age": "years"}).assign(note="x").astype({"visits": object})
    frame.loc[1, "visits"] = "two"
    frame.loc[5, "sex"] = "mael"
    frame.loc[9, "year"] = frame.loc[8, "year"]
    error = refused(frame)
    for said in (
        "table, glucose: missing; allowed: a column for 'glucose' (mg/dL); did you mean 'glucoes'.",
        "table, age: missing; allowed: a column for 'age' (years)",
        "table, glucoes: an unknown column; allowed: those the spec declares (is it 'glucose'?)",
        "table, note: an unknown column",
        "row 3, visits: text, two; allowed: 0 to 20",
        "row 7, sex: mael; allowed: female, male.",
        "rows 10, 11, year: the same person at the same time twice",
    ):
        assert said in str(error)
    assert len(error.problems) == 8


def test_without_people_or_times_nothing_more_is_said():
    error = refused(clinic().rename(columns={"year": "years"}).assign(sex="mael"))
    assert "table, year: missing; allowed: the column that the spec names; did you mean 'years'." in str(error)
    assert len(error.problems) == 2
    assert "no rows" in str(refused(clinic().head(0)))


def test_two_columns_of_one_name_are_told():
    frame = clinic().assign(visits=99)
    frame.insert(1, "glucose", 100.0, allow_duplicates=True)
    error = refused(frame)
    assert "table, glucose: 2 columns of this name; allowed: one; leave one." in str(error)
    assert "visits: 99; allowed: 0 to 20" in str(error)


def test_what_shows_on_the_grid_is_told_in_the_same_round():
    frame = clinic()
    frame.loc[4, "year"] += 0.3  # person 1 comes first at 0.3 years: in step 1
    frame.loc[9, "age"] = 90.0
    error = refused(frame)
    found = "table, row 6, drug: not known at time 0 of 1 people: 1; allowed: a row at time 0 for everybody."
    assert found in str(error)
    assert "changes within a person: 42.0, 90.0" in str(error)
    spec = copy.deepcopy(SPEC)
    spec["dt"] = 1e-6
    last = clinic()["year"].idxmax()
    error = refused(clinic(), spec)
    assert f"table, row {last + 2}, year: " in str(error)
    assert "values on the grid: 60 people" in str(error)
    assert "allowed: 200,000,000 values: a longer dt than 1e-06 years, or fewer people at once." in str(error)


def test_a_time_far_beyond_that_of_anybody_else_is_told():
    frame = clinic()
    frame.loc[7, "year"] = 2010.0
    error = refused(frame)
    assert "table, row 9, year: over 20 times as late as anybody else: 2010.0; allowed: up to " in str(error)
    assert "since time 0; or declare latest, if it is right." in str(error)
    assert len(error.problems) == 1
    frame.loc[7, "year"] = 30.0
    assert from_table(SPEC, frame).recorded.courses.length.max() == 60  # may be
    spec = copy.deepcopy(SPEC)
    spec["table"]["latest"] = 20.0
    assert "row 9, year: 30.0; allowed: up to 20 years since time 0." in str(refused(frame, spec))
    frame.loc[7, "year"] = 150.0
    spec["table"]["latest"] = 200.0
    assert from_table(spec, frame).recorded.courses.length.max() == 300
    ended = clinic().assign(end=lambda f: np.where(f["patient"] == 3, 1999.0, 4.0))
    spec["table"] = {**SPEC["table"], "until": "end"}
    assert "rows 14 to 17, end: over 20 times as late as anybody else: 1999.0" in str(refused(ended, spec))


def test_the_error_has_all_rows_at_its_end():
    frame = clinic(people=300)
    frame.loc[::2, "sex"] = "mael"
    frame.loc[100:900, "visits"] = 77
    text = str(refused(frame))
    assert "rows 2, 4, 6, 8, 10, 12, ... (600 rows), sex: mael; allowed: female, male." in text
    assert "rows 102 to 902 (801 rows), visits: 77" in text
    listed = text.split("all rows:")[1]
    assert listed.startswith("\n  table, sex: rows 2, 4, 6, 8,")
    assert listed.endswith(", 1198, 1200 (600 rows)")


def test_a_variable_that_nobody_measured_is_told():
    assert "glucose: empty in every row; allowed: at least some values" in str(refused(clinic().assign(glucose=np.nan)))


def test_mixed_units_are_told_with_the_rows_and_the_factor():
    frame = clinic(people=200)
    frame.loc[frame["patient"] % 10 == 0, "glucose"] /= 18.016
    spec = copy.deepcopy(SPEC)
    spec["variables"]["glucose"]["low"] = 1.0
    error = refused(frame, spec)
    assert len(error.problems) == 1
    assert "80 values seem to be in mmol/L" in str(error)
    np.testing.assert_array_equal(error.problems[0].rows, np.flatnonzero(frame["patient"] % 10 == 0) + 2)


def test_units_are_not_suspected_without_two_heaps():
    random = np.random.default_rng(1)
    for values in (
        random.normal(100.0, 15.0, 5000),
        np.exp(random.normal(0.0, 1.5, 5000)),  # a long tail
        random.pareto(1.5, 5000) + 1.0,
        np.r_[np.exp(random.normal(0.0, 0.2, 500)), np.exp(random.normal(1.0, 0.2, 500))],  # two heaps, no known factor
    ):
        assert mixed(values, "mg/dL", {"umol/L": 88.4}) is None
    for share in (0.02, 0.5, 0.9):  # of the values, in the other unit
        values = np.exp(random.normal(0.0, 0.4, 5000))
        other = random.random(5000) < share
        heap = mixed(np.where(other, values * 88.4, values), "mg/dL", {"umol/L": 88.4})
        assert heap is not None
        assert heap.unit == "umol/L"
        np.testing.assert_array_equal(heap.rows, other)


def test_one_person_under_two_names_would_come_into_two_splits():
    frame = clinic().astype({"patient": str})
    frame.loc[frame["patient"] == "7", "patient"] = "007"
    assert len(from_table(SPEC, frame).recorded.names) == 60  # a name like any other
    twin = frame[frame["patient"] == "007"].assign(patient="7", glucose=100.0)
    error = refused(pd.concat([frame, twin], ignore_index=True))
    assert "names that differ in case or leading zeros only: 007, 7; allowed: one name per person" in str(error)
    copied = pd.concat([frame, frame[frame["patient"] == "8"].assign(patient="99")], ignore_index=True)
    error = refused(copied)
    assert "rows 34 to 37, 242 to 245 (8 rows), patient: the same course under several names: 8, 99" in str(error)


def test_traits_come_from_a_table_of_their_own_and_both_are_checked():
    spec = copy.deepcopy(SPEC)
    del spec["table"]
    spec["tables"] = {"visits": {"person": "patient", "time": "year"}, "people": {"person": "patient"}}
    frame = clinic()
    people = frame.groupby("patient", as_index=False)[["sex", "age"]].first()
    visits = frame.drop(columns=["sex", "age"])
    found = from_table(spec, {"visits": visits, "people": people}).recorded
    assert found.provenance["age"].table == "people"
    np.testing.assert_array_equal(found.courses.traits["age"], people["age"])
    extra = pd.concat([people, people.head(1), pd.DataFrame({"patient": [99], "sex": "male", "age": 50.0})])
    error = refused_all(spec, {"visits": visits, "people": extra.drop(index=5)})
    for said in (
        "people, row 61, patient: in several rows: 0; allowed: one row per person",
        "people, row 62, patient: in no table with times: 99",
        "visits, rows 22 to 25, age: trait 'age' not known",
    ):
        assert said in str(error)


def refused_all(spec, frames):
    with pytest.raises(TableError) as refusal:
        from_table(spec, frames)
    return refusal.value


def test_too_few_people_are_told_apart_by_what_they_are_for():
    assert "people: 30 people; allowed: at least 50, to fit and to judge" in str(refused(clinic(people=30)))
    frame = clinic(people=200)
    test = split_of(np.arange(200)) == "test"
    assert "0 people in the test split" in str(refused(frame[~test[frame["patient"]]]))


def test_names_of_people_become_numbers_that_others_do_not_change():
    names = np.array([f"P{i:06d}" for i in range(100_000)], dtype=object)
    ids = numbers_of(names)
    assert len(np.unique(ids)) == len(names)
    again = numbers_of(names[::2])
    assert (again == ids[::2]).mean() > 0.9999  # but for who shared a number
    np.testing.assert_array_equal(numbers_of(np.array(["3", "12", "x"], dtype=object))[:2], [3, 12])


def test_what_the_spec_gets_wrong_is_named():
    for change, said in (
        ({"variables": {"glucose": {"unit": "mg/dL", "lwo": 20.0}}}, "Did you mean 'low'"),
        ({"horizons": 3}, "Did you mean 'horizon'"),
        ({"reward": [{"of": "glucos"}]}, "Did you mean 'glucose'"),
        ({"table": {"person": "patient", "time": "year", "rows": "logs"}}, "rows is 'logs'; allowed: visits, events"),
    ):
        with pytest.raises((SpecError, UnknownNameError), match=said):
            from_table({**copy.deepcopy(SPEC), **change}, clinic())
    with pytest.raises(SpecError, match="cannot be read"):
        from_table("none.toml")
    with pytest.raises(SpecError, match="file is missing; name it, or give from_table a DataFrame"):
        from_table(SPEC)


def test_a_million_rows_take_seconds():
    frame = clinic(people=50_000, visits=20)
    frame.loc[999_999, "glucose"] = 1e9
    frame.loc[500_000, "year"] = -5.0
    began = time.process_time()
    error = refused(frame)
    assert time.process_time() - began < 15.0
    assert "row 1000001, glucose" in str(error)
    assert "row 500002, year" in str(error)
    assert len(error.problems) == 2
