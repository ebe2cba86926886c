"""Are the two worked examples what docs/table.md says they are, on the real people?"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.real_data import real_file
from tests.test_table_check import SPEC, clinic

from twingym.agents.trainer import train
from twingym.evaluation.cards.model_card import read_card
from twingym.experiments.fit import Args, fit
from twingym.scenarios import TableError, from_table, get
from twingym.twins.errors import SpecError

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def biliary(monkeypatch):
    real_file("pbc2.csv", monkeypatch)
    return EXAMPLES / "biliary.toml"


@pytest.fixture
def cdnow(monkeypatch):
    real_file("cdnow_sample.txt", monkeypatch)
    return EXAMPLES / "cdnow.toml"


def test_the_trial_is_read_visit_by_visit(biliary):
    recorded = get(biliary).recorded
    courses = recorded.courses
    assert recorded.described()["people"] == {"train": 220, "validation": 33, "test": 59}
    frame = pd.read_csv(real_file("pbc2.csv"))
    death = courses.observed.shape[2] - 1
    assert np.nansum(courses.observed[..., death]) == (frame.groupby("id")["status"].first() == "dead").sum() == 140
    seen = np.isfinite(courses.observed[..., 0]).sum()
    assert seen == 1945 - 5  # visits that share a step with a later one
    # Patient 1: visits at 0 and 0.53 years, dead at 1.10.
    row = courses.ids.tolist().index(1)
    np.testing.assert_array_equal(courses.observed[row, :4, 0], [14.5, 21.3, np.nan, np.nan])
    np.testing.assert_array_equal(courses.observed[row, :4, death], [0, 0, 0, 1])
    assert courses.length[row] == 3
    assert recorded.never_varied == {}


def test_a_mistake_in_the_trial_is_found_in_its_row(biliary, tmp_path, monkeypatch):
    lines = real_file("pbc2.csv").read_text().splitlines()
    lines[3] = lines[3].replace('"placebo"', '"D-penicil"').replace(",1.1,", ",18.8,")
    lines[100] = lines[99]
    (tmp_path / "pbc2.csv").write_text("\n".join(lines))
    monkeypatch.setenv("TWINGYM_DATA", str(tmp_path))
    with pytest.raises(TableError, match=r"rows 100, 101, year: the same person at the same time twice"):
        get(biliary)


def test_the_customers_are_counted_week_by_week(cdnow):
    recorded = get(cdnow).recorded
    courses, cut = recorded.courses, recorded.held_out.cut
    assert len(courses) == 2357
    assert (courses.observed[:, 0, 0] == 1.0).all()
    known = np.arange(courses.observed.shape[1]) <= cut[:, None]
    repeats = np.nansum(np.where(known, courses.observed[..., 0], 0.0)[:, 1:])
    # 2,457 repeat purchases by 30 September (Fader, Hardie and Lee 2005), but for the days of a week begun.
    assert 0.97 * 2457 < repeats <= 2457
    assert (courses.length - cut >= 39).all()
    assert recorded.never_varied == {"contact": "'none'"}
    assert get(EXAMPLES / "cdnow_contact.toml").assumed == {"contact": {1: {"purchases": 0.3}}}


def test_data_that_nobody_named_are_asked_for(monkeypatch):
    monkeypatch.delenv("TWINGYM_DATA", raising=False)
    with pytest.raises(SpecError, match="environment variable is not set"):
        get(EXAMPLES / "biliary.toml")


def in_parquet(path):
    return {**SPEC, "table": {**SPEC["table"], "file": str(path)}}


def test_without_pyarrow_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "clinic.parquet").write_bytes(b"PAR1")
    with pytest.raises(SpecError, match="pip install pyarrow"):
        from_table(in_parquet(tmp_path / "clinic.parquet"))


def test_parquet_is_read_as_what_was_written(tmp_path):
    pytest.importorskip("pyarrow")
    path, frame = tmp_path / "clinic.parquet", clinic()
    frame.loc[5, "glucose"] = np.nan
    frame.to_parquet(path)
    mine, theirs = from_table(in_parquet(path)).recorded.courses, from_table(SPEC, frame).recorded.courses
    for part in ("ids", "length", "observed", "delivered"):
        np.testing.assert_array_equal(getattr(mine, part), getattr(theirs, part))
    assert mine.traits.keys() == theirs.traits.keys()
    assert np.isnan(mine.observed).any()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SpecError, match=r"clinic\.parquet cannot be read as a table"):
        from_table(in_parquet(path))


@pytest.mark.slow
def test_the_trial_is_forecast_as_docs_say(biliary, tmp_path):
    fit(Args(str(biliary), out=tmp_path))
    card = read_card(tmp_path)
    for variable in ("bilirubin", "albumin", "prothrombin", "platelets"):
        for found in card["report"]["variables"][variable].values():
            assert found["skill"]["carry forward"][1] > 0.0
            assert found["skill"]["random effects"][2] > -0.05
    for found in card["report"]["events"]["death"].values():
        assert found["skill"][0] > 0.1
    assert any("Whether D-penicil (drug) changes" in line for line in card["cannot"])
    assert any("Fairness by sex" in line for line in card["cannot"])


@pytest.mark.slow
def test_the_customers_are_forecast_as_docs_say(cdnow, tmp_path):
    fit(Args(str(cdnow), out=tmp_path))
    card = read_card(tmp_path)
    found = card["report"]["variables"]["purchases"]["weeks 40 to 78"]
    assert found["people"] == 445
    assert found["skill"]["persistence"][1] > 0.1
    assert found["skill"]["BG/NBD"][2] > 0.0  # not clearly worse than the model of which it is a generalisation
    assert found["coverage"][0] == pytest.approx(0.9, abs=0.04)
    assert card["effects"] == {}
    assert card["cannot"][0].startswith("What contact does: it was 'none' for everybody")


@pytest.mark.slow
def test_a_policy_is_trained_under_the_assumed_effect_and_not_without(cdnow, tmp_path):
    with pytest.raises(SpecError, match="'contact' was 'none' for all 2,357 people"):
        train(get(cdnow))
    contact = EXAMPLES / "cdnow_contact.toml"
    fit(Args(str(contact), out=tmp_path, epochs=1, batches=5, card=False))
    found = train(
        get(contact), weights=tmp_path, n_timesteps=2048, n_envs=32, changes={"n_steps": 26, "batch_size": 208}
    )
    assert found.finished
