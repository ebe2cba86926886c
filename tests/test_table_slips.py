"""Is nothing of a table lost or taken wrongly in silence: amounts, levels, codes, dates, copies?"""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from tests.test_table_check import SPEC, clinic, refused

from twingym.scenarios import from_table
from twingym.twins.errors import SpecError

ORDERS = {
    **copy.deepcopy(SPEC),
    "dt": 1.0,
    "dt_unit": "weeks",
    "table": {"person": "who", "time": "day", "dates": "%Y-%m-%d", "rows": "events", "until": "2020-02-10"},
    "traits": {"first": {"column": "usd", "first": True, "cuts": [60.0], "levels": ["small", "large"]}},
    "groups": ["first"],
    "variables": {
        "orders": {"combine": "rows", "kind": "count", "high": 9.0},
        "spent": {"column": "usd", "combine": "sum", "unit": "USD", "high": 99.0},
    },
    "interventions": {"mail": {"levels": ["no", "yes"], "recorded": False}},
    "reward": [{"of": "spent"}],
    "constraints": {
        "mails": {"of": "mail", "limit": 0.1, "primary": True},
        "gap": {"trait": "first", "metric": "mails", "kind": "group_gap", "limit": 0.1},
    },
}


def log(people: int = 60) -> pd.DataFrame:
    """Four orders of everybody, two of them in the second week."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "who": np.repeat([f"c{i}" for i in range(people)], 4),
            "day": np.tile(["2020-01-01", "2020-01-07", "2020-01-08", "2020-01-20"], people),
            "usd": random.uniform(1.0, 49.0, 4 * people).round(2),
        }
    )


# -- amounts -------------------------------------------------------------------------------------------------------


def test_every_impossible_amount_is_told_though_amounts_are_summed_up():
    frame = log()
    frame.loc[[1, 6, 9], "usd"] = [-3.0, -300.0, 5000.0]
    error = refused(frame, ORDERS)
    assert "table, rows 3, 8, 11, usd: -3.0, -300.0, 5000.0; allowed: 0 to 99 USD." in str(error)
    assert len(error.problems) == 1


def test_a_sum_beyond_its_bounds_is_told_with_the_rows_that_were_added_up():
    frame = log()
    frame.loc[[5, 6, 13], "usd"] = [60.0, 61.5, 98.0]
    error = refused(frame, ORDERS)
    assert "rows 7, 8, 15, 16, usd: up to" in str(error)
    assert "added up; allowed: 0 to 99 USD in one step of 1." in str(error)
    spec = copy.deepcopy(ORDERS)
    spec["variables"]["orders"]["high"] = 1.0
    assert "orders: up to 2 in one step, added up; allowed: 0 to 1 in one step of 1." in str(refused(log(), spec))
    spec["variables"]["spent"]["low"] = 5.0
    with pytest.raises(ValueError, match="low is 5; allowed: 0 or less, for a step without a row counts 0"):
        from_table(spec, log())


# -- levels --------------------------------------------------------------------------------------------------------


def both(frame: pd.DataFrame, spec: dict, folder) -> list:
    """Return what comes of a table as a DataFrame and as a CSV file: the scenario, or the text of the error."""
    frame.to_csv(folder / "clinic.csv", index=False)
    filed = {**spec, "table": {**spec["table"], "file": str(folder / "clinic.csv")}}
    found = []
    for given in ((spec, frame), (filed,)):
        try:
            found.append(from_table(*given))
        except ValueError as error:
            found.append(str(error))
    return found


def test_a_level_may_be_called_none_and_a_word_for_missing_that_is_no_level_is_missing(tmp_path):
    spec = copy.deepcopy(SPEC)
    spec["interventions"]["drug"]["levels"] = ["None", "NA", "metformin"]
    spec["variables"]["stage"] = {"levels": ["1", "2", "3"]}
    frame = clinic().assign(stage=lambda f: (1 + f.index % 3).astype(float)).astype({"glucose": object})
    frame["drug"] = frame["drug"].replace("none", "None")
    frame.loc[5, "drug"] = "NA"
    frame.loc[[9, 10, 11], "glucose"] = ["NA", " ", "null"]
    frame.loc[13, "stage"] = np.nan  # all the others are now written 2.0
    for found in both(frame, spec, tmp_path):
        courses = found.recorded.courses
        assert set(np.unique(courses.delivered)) == {0.0, 1.0, 2.0}
        assert np.isfinite(courses.observed[..., 0]).sum() >= 225
        assert set(np.unique(courses.observed[..., 2][np.isfinite(courses.observed[..., 2])])) == {0.0, 1.0, 2.0}
    frame.loc[[16, 17], "glucose"] = ["high", "12,5"]
    frame["stage"] = frame["stage"].astype(object)
    frame.loc[20, "stage"] = "NA"
    frame.loc[21, "stage"] = "IV"
    for text in both(frame, spec, tmp_path):
        assert "rows 18, 19, glucose: text, high, 12,5; allowed: 20 to 600 mg/dL." in text
        assert "row 23, stage: IV; allowed: 1, 2, 3." in text
        assert text.startswith("the table has 2 problems")


def test_the_level_of_an_event_may_be_a_number(tmp_path):
    spec = copy.deepcopy(SPEC)
    spec["events"] = {"death": {"column": "status", "level": "2"}}
    frame = clinic().assign(status=lambda f: np.where(f["patient"] == 4, 2.0, np.nan))
    for found in both(frame, spec, tmp_path):
        assert np.nansum(found.recorded.courses.observed[..., 2]) == 1.0


def test_an_event_that_stands_nowhere_and_levels_that_are_numbers_are_refused():
    spec = copy.deepcopy(SPEC)
    spec["events"] = {"death": {"column": "status", "level": "dead"}}
    error = refused(clinic().assign(status=lambda f: np.where(f["patient"] == 4, "Dead", "alive")), spec)
    assert "table, status: nowhere 'dead', but alive, Dead; allowed: some; else leave the event out." in str(error)
    spec["events"]["death"]["level"] = 2
    with pytest.raises(SpecError, match=r"events\.death: 2 is a level; allowed: text, so write '2'\."):
        from_table(spec, clinic())


def test_a_table_of_nobody_and_cells_that_are_no_values_are_told():
    text = str(refused(clinic().assign(patient=None)))
    assert "rows 2 to 241 (240 rows), patient: empty; allowed: whose row it is." in text
    with pytest.raises(SpecError, match="a cell is no single value"):
        from_table(SPEC, clinic().assign(sex=[["male"]] * 240))


def test_an_empty_person_or_time_is_told_and_a_word_for_it_too(tmp_path):
    frame = clinic().astype({"patient": object, "year": object})
    frame.loc[1, "patient"] = "NA"
    frame.loc[2, "patient"] = " "
    frame.loc[5, "year"] = "NaN"
    for text in both(frame, SPEC, tmp_path):
        assert "row 3, patient: missing, NA; allowed: whose row it is." in text
        assert "row 4, patient: empty; allowed: whose row it is." in text
        assert "row 7, year: missing, NaN; allowed: a time in years." in text


# -- copies --------------------------------------------------------------------------------------------------------


def test_rows_alike_would_be_counted_twice_unless_it_is_said_that_they_are_two_events():
    frame = pd.concat([log(), log().iloc[[4]]], ignore_index=True)
    error = refused(frame, ORDERS)
    assert "table, rows 6, 242, day: rows alike in every column; allowed: each event once" in str(error)
    assert len(error.problems) == 1
    spec = copy.deepcopy(ORDERS)
    spec["table"]["repeats"] = True
    assert from_table(spec, frame).recorded.courses.observed[..., 0].max() == 2.0
    numbered = frame.assign(order=np.arange(len(frame)))
    spec["table"] |= {"repeats": False, "ignore": ["order"]}
    assert len(from_table(spec, numbered).recorded.courses) == 60
    spec = copy.deepcopy(ORDERS)
    del spec["variables"]["spent"]
    spec["variables"]["orders"]["combine"] = "times"  # a second row changes nothing
    spec["reward"] = [{"of": "orders"}]
    assert len(from_table(spec, frame).recorded.courses) == 60


def test_an_event_log_may_be_in_any_order():
    wanted = from_table(ORDERS, log()).recorded.courses
    found = from_table(ORDERS, log().sample(frac=1.0, random_state=1)).recorded.courses
    np.testing.assert_array_equal(found.observed, wanted.observed)
    np.testing.assert_array_equal(found.traits["first"], wanted.traits["first"])


def test_a_person_copied_under_another_name_is_told_though_shifted_or_seen_twice_only():
    copied = log().query("who == 'c7'").assign(who="c99", day=["2020-01-03", "2020-01-09", "2020-01-10", "2020-01-22"])
    error = refused(pd.concat([log(), copied], ignore_index=True), ORDERS)
    assert "rows 30 to 33, 242 to 245 (8 rows), who: the same course under several names: c7, c99" in str(error)
    assert len(error.problems) == 1
    for visits, shift in ((4, 0.001), (2, 0.0), (2, 0.001)):
        frame = clinic(visits=visits)
        copied = frame[frame["patient"] == 8].assign(
            patient=99, year=lambda f, by=shift: f["year"] + by * (f["year"] > 0)
        )
        error = refused(pd.concat([frame, copied], ignore_index=True))
        assert "the same course under several names: 8, 99; allowed: each person once." in str(error)
        assert len(error.problems) == 1


def test_people_alike_by_habit_are_no_copies():
    frame = log().assign(usd=lambda f: np.tile([9.99, 9.99, 9.99, 19.99], 60))  # subscribers
    assert len(from_table(ORDERS, frame).recorded.courses) == 60


# -- levels that nobody got ------------------------------------------------------------------------------------------


def test_a_level_that_hardly_anybody_got_is_named_and_rules_that_give_it_say_so():
    spec = copy.deepcopy(SPEC)
    spec["interventions"]["drug"]["levels"] = ["none", "metformin", "insulin", "surgery"]
    frame = clinic()
    frame.loc[5, "drug"] = "surgery"
    scenario = from_table(spec, frame)
    nobody = "Nobody in the table ever got 'insulin' of drug: what it does is INVENTED, not learned."
    one = "Only 1 person in the table ever got 'surgery' of drug: what it does is INVENTED, not learned."
    assert nobody in scenario.about
    assert one in scenario.about
    assert scenario.rule("drug_insulin").about == f"drug: always insulin. {nobody}"
    assert scenario.rule("drug_surgery").about == f"drug: always surgery. {one}"
    assert scenario.rule("drug_none").about == "drug: always none."
    assert "INVENTED" not in from_table(SPEC, clinic()).about
