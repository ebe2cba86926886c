"""Is everything that a table gets wrong told at once, with its rows, before anything is made of it?"""

from __future__ import annotations

import copy
import time

import numpy as np
import pandas as pd
import pytest

from twingym.scenarios import TableError, from_table
from twingym.scenarios.table.check import numbers_of
from twingym.scenarios.table.mixed_units import mixed
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
        "table, rows 10, 11, 12, 13, age: changes within a person: 42.0, 90.0; allowed: one value per person",
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


def test_columns_that_are_missing_or_unknown_are_told_first():
    error = refused(clinic().rename(columns={"glucose": "glucoes"}).assign(note="x"))
    assert "table, glucose: missing; allowed: a column for 'glucose' (mg/dL); did you mean 'glucoes'." in str(error)
    assert "table, glucoes: an unknown column; allowed: those the spec declares (is it 'glucose'?)" in str(error)
    assert "table, note: an unknown column" in str(error)
    assert len(error.problems) == 3
    assert "'year'" in str(refused(clinic().rename(columns={"year": "years"}))) or "did you mean 'years'" in str(
        refused(clinic().rename(columns={"year": "years"}))
    )
    assert "no rows" in str(refused(clinic().head(0)))


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
    assert "rows 34, 35, 36, 37, 242, 243 and 2 more, patient: the same course under several names: 8, 99" in str(error)


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
        "visits, rows 22, 23, 24, 25, age: trait 'age' not known",
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
