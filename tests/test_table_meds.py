"""Are MEDS events read as the standard means them, timestamps and all, and is what is wrong told with its row?"""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
from tests.test_table_check import SPEC, clinic, refused

from twingym.scenarios import from_table

MEDS = {
    **copy.deepcopy(SPEC),
    "table": {"person": "subject_id", "time": "time", "format": "meds"},
    "traits": {
        "sex": {"column": "GENDER//", "levels": ["F", "M"]},
        "age": {"column": "AGE", **SPEC["traits"]["age"]},
    },
    "variables": {
        "glucose": {"column": "LAB//50931//mg/dL", **SPEC["variables"]["glucose"]},
        "admitted": {"column": "HOSPITAL_ADMISSION", "low": 0.0, "high": 1.0, "kind": "count"},
    },
    "interventions": {"drug": {"column": "DRUG//", "levels": ["none", "metformin"]}},
}
ENTRY = pd.Timestamp("2150-03-01 08:30:00")


def events() -> pd.DataFrame:
    """The clinic as MEDS would have it: static rows, births, codes that nobody named, and timestamps."""
    frame = clinic()
    entered = ENTRY + pd.to_timedelta(frame["patient"] * 7, unit="D")
    frame["time"] = entered + pd.to_timedelta(frame["year"] * 365.25, unit="D")
    first = frame.groupby("patient", as_index=False).first()
    parts = [
        first.assign(time=pd.NaT, code="GENDER//" + first["sex"].str[0].str.upper(), numeric_value=np.nan),
        first.assign(time=pd.NaT, code="AGE", numeric_value=first["age"]),
        first.assign(time=pd.Timestamp("2100-01-01"), code="MEDS_BIRTH", numeric_value=np.nan),
        first.assign(time=first["time"] - pd.Timedelta("30D"), code="LAB//51221//%", numeric_value=40.0),
        frame.assign(code="LAB//50931//mg/dL", numeric_value=frame["glucose"]),
        frame.assign(code="DRUG//" + frame["drug"], numeric_value=np.nan),
        first.assign(code="HOSPITAL_ADMISSION", numeric_value=np.nan),
        first.assign(time=first["time"] + pd.Timedelta("9999D"), code="MEDS_DEATH", numeric_value=np.nan),
    ]
    columns = {"patient": "subject_id"}
    meds = pd.concat(parts)[["patient", "time", "code", "numeric_value"]].rename(columns=columns)
    meds = meds.sort_values(["subject_id", "time"], na_position="first", kind="stable")
    return meds.astype({"time": "datetime64[us]"}).reset_index(drop=True)


def rows_of(meds: pd.DataFrame, code: str) -> pd.Index:
    return meds.index[meds["code"] == code]


def test_time_0_is_the_first_row_of_a_declared_code_that_is_no_trait():
    spec = copy.deepcopy(SPEC)
    del spec["variables"]["visits"]
    wanted = from_table(spec, clinic().drop(columns="visits")).recorded.courses
    found = from_table(MEDS, events()).recorded
    np.testing.assert_array_equal(found.courses.length, wanted.length)
    np.testing.assert_array_equal(found.courses.observed[..., 0], wanted.observed[..., 0])
    np.testing.assert_array_equal(found.courses.delivered, wanted.delivered)
    np.testing.assert_array_equal(found.courses.traits["age"], wanted.traits["age"])
    assert (found.courses.observed[:, 0, 1] == 1.0).all()  # a code without any number: it happened


def test_timestamps_in_a_file_are_dates_in_a_declared_format(tmp_path):
    events().to_csv(tmp_path / "meds.csv", index=False, date_format="%Y-%m-%d %H:%M:%S")
    spec = {**MEDS, "table": {**MEDS["table"], "file": str(tmp_path / "meds.csv"), "dates": "%Y-%m-%d %H:%M:%S"}}
    mine, wanted = from_table(spec).recorded.courses, from_table(MEDS, events()).recorded.courses
    np.testing.assert_array_equal(mine.observed, wanted.observed)
    with_zone = events().assign(time=lambda f: f["time"].dt.tz_localize("UTC"))
    np.testing.assert_array_equal(from_table(MEDS, with_zone).recorded.courses.observed, wanted.observed)


def test_a_code_that_carries_numbers_is_missing_without_one():
    meds = events()
    place = rows_of(meds, "LAB//50931//mg/dL")
    wanted = from_table(MEDS, meds).recorded.courses.observed[..., 0]
    meds.loc[place[2], "numeric_value"] = np.nan
    found = from_table(MEDS, meds).recorded.courses.observed[..., 0]
    assert (found == 1.0).sum() == 0
    assert np.isfinite(wanted).sum() - np.isfinite(found).sum() <= 1


def test_text_in_numbers_and_blank_codes_and_times_are_told_with_their_rows():
    meds = events().astype({"numeric_value": object, "code": object})
    glucose, other = rows_of(meds, "LAB//50931//mg/dL"), rows_of(meds, "LAB//51221//%")
    meds.loc[glucose[3], "numeric_value"] = "many"
    meds.loc[other[0], "numeric_value"] = "what nobody named is not read"
    meds.loc[glucose[5], "numeric_value"] = 9000.0
    meds.loc[glucose[9], "code"] = None
    meds.loc[glucose[10], "code"] = " "
    meds.loc[glucose[14], "time"] = pd.NaT
    error = refused(meds, MEDS)
    for row, said in (
        (glucose[3], "numeric_value: text, many; allowed: a number, or empty."),
        (glucose[5], "LAB//50931//mg/dL: 9000.0; allowed: 20 to 600 mg/dL."),
        (glucose[14], "time: empty; allowed: a time in years."),
    ):
        assert f"table, row {row + 2}, {said}" in str(error)
    assert f"table, rows {glucose[9] + 2}, {glucose[10] + 2}, code: empty; allowed: a code." in str(error)
    assert len(error.problems) == 4


def test_a_person_of_static_rows_alone_is_told():
    meds = pd.concat([events(), events().query("code == 'AGE'").tail(1).assign(subject_id=99)], ignore_index=True)
    assert f"row {len(meds) + 1}, subject_id: no row with a time: 99; allowed: people with rows." in str(
        refused(meds, MEDS)
    )


def test_timestamps_need_no_format_in_a_table_of_visits_either():
    frame = clinic()
    stamps = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame["year"] * 365.25, unit="D")
    wanted = from_table(SPEC, frame).recorded.courses
    found = from_table(SPEC, frame.assign(year=stamps)).recorded.courses
    np.testing.assert_array_equal(found.observed, wanted.observed)
    error = refused(frame.assign(year=stamps.dt.strftime("%Y-%m-%d")))
    assert "for dates say dates = '%Y-%m-%d', or what their format is." in str(error)
