"""Does a table become a scenario like any other: its people, its gaps, its model, its card, and what it refuses?"""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.command_line import twingym
from tests.test_table_check import SPEC, clinic, refused_all

from twingym.agents.trainer import train
from twingym.envs import TwinVectorEnv
from twingym.envs.dynamics import CHALLENGER, resolve
from twingym.evaluation import compare
from twingym.evaluation.cards.model_card import CARD, PAGE, read_card
from twingym.evaluation.checks.limits import limit_checks
from twingym.evaluation.checks.subject import Subject
from twingym.experiments.fit_recorded import EXPLOITED_PEOPLE
from twingym.experiments.judging import Bench
from twingym.scenarios import Step, Values, from_table, get
from twingym.scenarios.table.check import check_tables
from twingym.scenarios.table.spec import read_spec
from twingym.twins import people, split_of
from twingym.twins.errors import CohortError, SpecError, UnknownNameError
from twingym.twins.model import digest

TOML = """
id = "Clinic-v0"
title = "A clinic"
kind = "patient"
dt = 0.5
dt_unit = "years"
horizon = 4
groups = ["sex"]
reward = [{ of = "glucose", weight = -0.01 }]

[table]
file = "clinic.csv"
person = "patient"
time = "year"

[traits]
sex = { levels = ["female", "male"] }
age = { unit = "years", low = 18.0, high = 100.0 }

[variables]
glucose = { unit = "mg/dL", low = 20.0, high = 600.0, scale = "log", track = true }
visits = { kind = "count", high = 20.0 }

[interventions]
drug = { levels = ["none", "metformin"] }

[constraints]
low = { of = "glucose", below = 70.0, limit = 0.1, primary = true }
gap = { trait = "sex", metric = "low", kind = "group_gap", limit = 0.1 }

[card]
variables = ["glucose"]
origins = [1]
horizons = { "half a year" = [1, 1] }

[network]
width = 16
layers = 1
attention_heads = 2
head_width = 8
ensemble = 2
ensemble_width = 8

[fit]
epochs = 2
batches = 10
batch_tokens = 200
ema = 0.9
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A spec beside its table, fitted by the command line."""
    folder = tmp_path_factory.mktemp("clinic")
    clinic(people=150).to_csv(folder / "clinic.csv", index=False)
    path = folder / "clinic.toml"
    path.write_text(TOML)
    assert verb("fit", path) == 0
    return path


def verb(name, path, *words):
    return twingym(name, "--env", str(path), *words)


# -- the grid ------------------------------------------------------------------------------------------------------


def test_irregular_visits_keep_their_gaps_and_what_is_missing_stays_missing():
    frame = clinic()
    mine = frame.index[frame["patient"] == 7]
    frame.loc[mine, "year"] = [0.0, 0.45, 0.55, 2.3]
    frame.loc[mine, "glucose"] = [100.0, 110.0, np.nan, 130.0]
    frame.loc[mine, "visits"] = [1, 2, 3, 4]
    frame.loc[mine, "drug"] = ["none", "none", "metformin", "none"]
    recorded = from_table(SPEC, frame).recorded
    row = recorded.courses.ids.tolist().index(7)
    course = recorded.courses.take(np.array([row]))
    assert course.length[0] == 5
    np.testing.assert_array_equal(course.observed[0, :6, 0], [100.0, 110.0, np.nan, np.nan, np.nan, 130.0])
    np.testing.assert_array_equal(course.observed[0, :6, 1], [1, 3, np.nan, np.nan, np.nan, 4])
    np.testing.assert_array_equal(course.delivered[0, :5, 0], [0, 1, 1, 1, 1])
    assert np.isnan(course.observed[0, 6:]).all()
    assert recorded.merged >= 1


def test_follow_up_events_and_lags_have_their_steps():
    spec = copy.deepcopy(SPEC)
    spec["table"] |= {"until": "end", "lag": 0.5}
    spec["events"] = {"death": {"column": "status", "level": "dead"}}
    frame = clinic().assign(end=3.2, status="alive")
    frame.loc[frame["patient"] == 4, "status"] = "dead"
    scenario = from_table(spec, frame)
    courses, k = scenario.recorded.courses, 2
    assert [v.name for v in scenario.events] == ["death"]
    assert courses.length.tolist() == [7 if i == 4 else 6 for i in courses.ids]
    assert courses.observed[courses.ids == 4, 7, k] == 1.0
    assert np.nansum(courses.observed[courses.ids != 4][..., k]) == 0.0
    assert np.isnan(courses.observed[:, 0, 0]).all()  # known half a year later
    assert np.isfinite(courses.observed[:, 1, 0]).all()


def test_an_event_log_is_counted_and_silence_is_zero():
    frame = pd.DataFrame(
        {
            "who": np.repeat([f"c{i}" for i in range(60)], 3),
            "day": np.tile(["2020-01-01", "2020-01-08", "2020-01-20"], 60),
            "usd": np.tile([5.0, 7.0, 9.0], 60),
        }
    )
    frame = pd.concat([frame, frame[frame["day"] == "2020-01-20"]], ignore_index=True)  # twice on that day
    spec = {
        **copy.deepcopy(SPEC),
        "dt": 1.0,
        "dt_unit": "weeks",
        "table": {
            "person": "who",
            "time": "day",
            "dates": "%Y-%m-%d",
            "rows": "events",
            "until": "2020-02-10",
            "repeats": True,
        },
        "traits": {"first": {"column": "usd", "first": True, "cuts": [6.0], "levels": ["small", "large"]}},
        "groups": ["first"],
        "variables": {
            "orders": {"combine": "rows", "kind": "count", "high": 9.0},
            "days": {"combine": "times", "kind": "count", "high": 7.0},
            "spent": {"column": "usd", "combine": "sum", "high": 99.0},
        },
        "interventions": {"mail": {"levels": ["no", "yes"], "recorded": False}},
        "reward": [{"of": "spent"}],
        "constraints": {
            "mails": {"of": "mail", "limit": 0.1, "primary": True},
            "gap": {"trait": "first", "metric": "mails", "kind": "group_gap", "limit": 0.1},
        },
    }
    scenario = from_table(spec, frame)
    courses = scenario.recorded.courses
    assert set(courses.length) == {5}
    for k, wanted in enumerate([[1, 1, 0, 2, 0, 0], [1, 1, 0, 1, 0, 0], [5, 7, 0, 18, 0, 0]]):
        np.testing.assert_array_equal(courses.observed[0, :, k], wanted)
    assert (courses.traits["first"] == 0.0).all()
    assert scenario.recorded.never_varied == {"mail": "'no'"}
    assert not any(v.intermittent for v in scenario.variables)
    spec["card"] = {"variables": ["orders"], "cut": "2020-01-15", "total": True, "horizons": {"rest": [1, 3]}}
    recorded = from_table(spec, frame).recorded
    assert set(recorded.held_out.cut) == {2}
    assert recorded.known().observed.shape[1] == 3


def test_meds_events_are_read_by_their_codes():
    frame = clinic()
    static = frame.groupby("patient", as_index=False).first()
    sex = static.assign(time=np.nan, code="SEX//" + static["sex"], numeric_value=np.nan)
    age = static.assign(time=np.nan, code="AGE", numeric_value=static["age"])
    parts = [frame.assign(time=frame["year"], code=c, numeric_value=frame[c]) for c in ("glucose", "visits")]
    drug = frame.assign(time=frame["year"], code="DRUG//" + frame["drug"], numeric_value=np.nan)
    columns = ["patient", "time", "code", "numeric_value"]
    meds = pd.concat([sex, age, *parts, drug])[columns].rename(columns={"patient": "subject_id"})
    meds = meds.sort_values(["subject_id", "time"], na_position="first", kind="stable")
    spec = copy.deepcopy(SPEC)
    spec["table"] = {"person": "subject_id", "time": "time", "format": "meds"}
    spec["traits"] = {
        "sex": {"column": "SEX//", **SPEC["traits"]["sex"]},
        "age": {"column": "AGE", **SPEC["traits"]["age"]},
    }
    spec["interventions"]["drug"]["column"] = "DRUG//"
    mine, theirs = from_table(spec, meds).recorded.courses, from_table(SPEC, frame).recorded.courses
    np.testing.assert_array_equal(mine.observed, theirs.observed)
    np.testing.assert_array_equal(mine.delivered, theirs.delivered)
    np.testing.assert_array_equal(mine.traits["sex"], theirs.traits["sex"])


# -- people --------------------------------------------------------------------------------------------------------


def test_simulated_people_have_traits_of_real_ones_of_the_same_split():
    scenario = from_table(SPEC, clinic().assign(age=lambda f: 20.0 + f["patient"]))  # age tells who it is
    source, known = scenario.people, scenario.recorded.courses
    np.testing.assert_array_equal(source.sample(known.ids).traits["age"], known.traits["age"])
    for split in ("train", "validation", "test"):
        ids = people(split, 300, start=1000)
        drawn = source.sample(ids).traits["age"] - 20.0
        assert set(split_of(drawn.astype(int))) == {split}
        assert len(set(drawn)) > 2
        np.testing.assert_array_equal(source.sample(ids[::3]).traits["age"] - 20.0, drawn[::3])
    assert (source.sample(np.arange(50), {"sex": 1.0}).traits["sex"] == 1.0).all()
    assert (source.sample(np.arange(5), fixed={"age": 33.0}).traits["age"] == 33.0).all()
    with pytest.raises(CohortError, match="nobody of the table's"):
        source.sample(np.arange(50), {"age": (99.0, 100.0)})


def test_the_challenger_learns_from_other_people():
    recorded = from_table(SPEC, clinic(people=200)).recorded
    mine, other = (set(recorded.learners(c).ids) for c in (False, True))
    shared = mine & other
    assert set(split_of(np.array(sorted(shared)))) == {"validation"}
    assert "test" not in split_of(np.array(sorted(mine | other)))


# -- from spec to card ---------------------------------------------------------------------------------------------


def test_a_spec_is_fitted_judged_and_simulated_like_any_scenario(fitted):
    folder = fitted.with_name("clinic_twin")
    card = read_card(folder)
    assert card["judge"] == "held-out people and a challenger"
    found = card["report"]["variables"]["glucose"]["half a year"]
    assert found["points"] > 10
    assert set(found["skill"]) == {"carry forward", "persistence", "random effects"}
    assert card["likelihood"]["over_challenger"] is not None
    assert any("Effects of drug free of confounding" in line for line in card["cannot"])
    assert "What these data can not support" in (folder / PAGE).read_text()
    scenario = get(fitted)
    env = TwinVectorEnv(scenario, 8, people="test")
    observations, _ = env.reset(seed=1)
    for _ in range(4):
        observations, reward, *_ = env.step(np.ones(8, dtype=np.int64))
        assert np.isfinite(observations).all()
        assert np.isfinite(reward).all()
    bench = Bench.of(scenario, 20)
    assert list(bench.places) == ["transformer", CHALLENGER]
    assert len(compare(bench.judge(bench.rules(["drug_none", "drug_metformin"]))).table) > 0


def test_a_worse_model_does_not_replace_a_better_one_where_there_is_no_reference(fitted, capsys):
    folder = fitted.with_name("clinic_twin")
    before = digest(folder)
    assert verb("fit", fitted, "--replace", "--no-card", "--epochs", "1", "--batches", "1") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "nats less likely" in said
    assert "--even-if-worse" in said
    assert digest(folder) == before


def test_the_card_is_written_again_from_the_model(fitted):
    out = fitted.parent / "again"
    assert verb("card", fitted, "--out", str(out)) == 0
    again, first = (json.loads((f / CARD).read_text()) for f in (out, fitted.with_name("clinic_twin")))
    assert again["report"] == first["report"]
    assert again["likelihood"] == first["likelihood"]


def test_the_card_of_a_table_tells_what_agents_keep_under_the_challenger(fitted, capsys):
    folder, out = fitted.with_name("clinic_twin"), fitted.parent / "exploited"
    assert read_card(folder)["exploitability"]["value"] is None
    assert verb("card", fitted, "--out", str(out), "--exploit", "--n-timesteps", "200") == 0
    card = read_card(out)
    found = card["exploitability"]["value"]
    assert found["people"] == EXPLOITED_PEOPLE
    agent = found["agents"]["PPO"]
    assert set(agent["limits"]) == {"low", "gap"}
    assert agent["promised"][1] < agent["promised"][2]
    assert agent["gap"]["return"][0] != 0.0  # two models, two returns
    assert card["report"] == read_card(folder)["report"]
    assert "| PPO |" in (out / PAGE).read_text()
    assert sorted(path.name for path in out.iterdir()) == [CARD, PAGE]
    capsys.readouterr()
    for words, said in (
        (("--quick",), "quick is True; the card of a table takes seconds"),
        (("--against", "reference"), "has no reference to judge by; use against='challenger'"),
        (("--exploit", "--weights", str(folder / CHALLENGER)), "no twin model"),  # which has no challenger of its own
    ):
        assert verb("card", fitted, "--out", str(fitted.parent / "refused"), *words) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (fitted.parent / "refused").exists()


def test_more_people_in_the_table_leave_the_model_valid(fitted):
    spec, frame = read_spec(fitted), clinic(people=160)
    more = from_table({**TOML_SPEC(fitted)}, frame)
    assert more.world_fingerprint() == get(fitted).world_fingerprint()
    assert len(check_tables(spec).people) == 150


def TOML_SPEC(path):  # noqa: N802
    import tomllib

    return tomllib.loads(path.read_text())


# -- what nobody can know ------------------------------------------------------------------------------------------


def test_what_never_varied_refuses_policies_and_moves_nobody(fitted):
    spec = TOML_SPEC(fitted)
    spec["interventions"]["drug"]["recorded"] = False
    spec["table"]["ignore"] = ["drug"]
    frame = clinic(people=150)
    alone = from_table(spec, frame)
    with pytest.raises(SpecError, match="'drug' was 'none' for all 150 people"):
        train(alone)
    spec["interventions"]["drug"]["assumed"] = {"metformin": {"visits": 0.5}}
    assumed = from_table(spec, frame)
    assert "ASSUMED, not learned: drug 'metformin' adds 0.5 to the log rate of visits" in assumed.about
    assert assumed.provenance["drug_metformin_on_visits"].source == "assumption"
    assert assumed.vary(drug_metformin_on_visits=0.1).assumed["drug"][1]["visits"] == 0.1
    assert assumed.world_fingerprint() == alone.world_fingerprint()  # what is learned is the same
    assert assumed.fingerprint() != alone.fingerprint()
    # The clinic's own model will do as one that never met the drug.
    weights = fitted.with_name("clinic_twin")
    ids = people("test", 2000)
    sums = {}
    for name, scenario, dose in (("alone", alone, 1), ("none", assumed, 0), ("assumed", assumed, 1)):
        dynamics = resolve(replace(scenario, id="Clinic-v0"), "transformer", weights)
        env = TwinVectorEnv(scenario, len(ids), dynamics=dynamics, autoreset="disabled")
        env.reset(seed=3, options={"twins": ids})
        env.step(np.full(len(ids), dose))
        sums[name] = np.nansum(env.observed[:, 1])
    assert sums["alone"] == sums["none"]
    assert sums["assumed"] / sums["none"] == pytest.approx(np.exp(0.5), rel=0.06)


def test_what_is_decided_at_entry_stays_decided():
    spec = copy.deepcopy(SPEC)
    spec["interventions"]["drug"]["decided"] = "at entry"
    frame = clinic().assign(drug=lambda f: np.where(f["patient"] % 2, "metformin", "none"))
    scenario = from_table(spec, frame)
    hard = next(c for c in scenario.constraints if c.name == "decided_once")
    assert hard.hard
    assert [v.name for v in scenario.derived] == ["drug_given"]
    now = {"drug_given": np.array([0.0, 1.0, 2.0]), "glucose": np.zeros(3)}
    np.testing.assert_array_equal(hard.enforce(now, {"drug": np.array([1.0, 1.0, 0.0])})["drug"], [1.0, 0.0, 1.0])


def test_several_sources_are_blended_with_their_own_masks_lags_and_provenance():
    spec = copy.deepcopy(SPEC)
    del spec["table"]
    spec["tables"] = {
        "clinic": {"person": "patient", "time": "year"},
        "laboratory": {"person": "id", "time": "years", "lag": 0.5},
    }
    spec["variables"]["hba1c"] = {"unit": "%", "low": 3.0, "high": 20.0}
    frame = clinic()
    drawn = frame[frame["patient"] % 2 == 0].groupby("patient", as_index=False).first()
    laboratory = drawn.assign(id=drawn["patient"], years=0.1, hba1c=7.5)[["id", "years", "hba1c"]]
    recorded = from_table(spec, {"clinic": frame, "laboratory": laboratory}).recorded
    courses, k = recorded.courses, 2
    even = courses.ids % 2 == 0
    assert (courses.observed[even, 1, k] == 7.5).all()  # drawn in step 0, known a step later
    assert np.isnan(courses.observed[even, 0, k]).all()
    assert np.isnan(courses.observed[~even][..., k]).all()
    assert np.isfinite(courses.observed[:, 0, 0]).all()  # the clinic's own are there at once
    found = recorded.provenance["hba1c"]
    assert (found.table, found.file, found.column, found.lag, found.lag_unit) == (
        "laboratory",
        "DataFrame",
        "hba1c",
        0.5,
        "years",
    )
    assert found.missing > recorded.provenance["glucose"].missing
    laboratory.loc[3, "id"] = 999
    error = refused_all(spec, {"clinic": frame, "laboratory": laboratory})
    assert "laboratory, row 5, age: trait 'age' not known" in str(error)


def test_rules_costs_and_rewards_are_stated_without_code():
    spec = copy.deepcopy(SPEC)
    spec["rules"] = {
        "if_high": {"give": {"drug": "metformin"}, "when": {"of": "glucose", "above": 130.0}},
        "never": {"give": {"drug": "none"}},
    }
    spec["reward"] = [
        {"constant": 0.5},
        {"of": "drug", "is": "metformin", "weight": -2.0},
        {"of": "glucose", "log": True},
    ]
    scenario = from_table(spec, clinic())
    now = Values({"glucose": np.array([120.0, 140.0, np.nan])})
    np.testing.assert_array_equal(scenario.rule("if_high").act(now, {}, {})["drug"], [0.0, 1.0, 0.0])
    step = Step(now, Values({"drug": np.array([0.0, 1.0, 0.0])}), now)
    np.testing.assert_allclose(scenario.reward(step), [0.5 + np.log(120.0), -1.5 + np.log(140.0), 0.5])
    np.testing.assert_array_equal(
        scenario.primary.cost(Step(now, {}, Values({"glucose": np.array([60.0, 80.0])}))), [1, 0]
    )
    spec["rules"]["never"]["give"]["drug"] = "nothing"
    with pytest.raises(UnknownNameError, match=r"Did you mean 'none'|Known: metformin, none"):
        from_table(spec, clinic())


def test_a_policy_that_offers_a_level_that_nobody_got_is_refused():
    spec = copy.deepcopy(SPEC)
    spec["interventions"]["drug"]["levels"] = ["none", "metformin", "insulin"]
    scenario = from_table(spec, clinic())
    assert scenario.recorded.described()["seldom"] == {"drug": {"insulin": 0}}
    with pytest.raises(SpecError, match=r"hardly anybody ever got these levels of 'drug': 'insulin' \(0\)"):
        train(scenario)


def test_a_limit_that_nothing_recorded_breaks_is_told_and_fails_nothing(fitted):
    scenario = get(fitted)
    lax = replace(scenario, constraints=tuple(replace(c, limit=1.0) for c in scenario.constraints))
    found = {finding.what: finding.fails for finding in limit_checks(Subject(lax, {}, 200, None))}
    assert found == {"limit low": False, "limit gap": False}
