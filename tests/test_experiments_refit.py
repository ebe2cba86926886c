"""Does a model learn from what came back, is it replaced only by what is no worse, and can a refit be stopped?"""

from __future__ import annotations

import json
import shutil
from math import inf, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.command_line import twingym
from tests.test_experiments_fit import PLANNED

from twingym.agents.export import export_policy
from twingym.agents.trainer import train
from twingym.envs.behaviour import collect
from twingym.evaluation.cards.replacement import clearly_worse
from twingym.experiments.run_dir import RunDir, describe
from twingym.scenarios import get
from twingym.scenarios.table.courses import course_frame, read_courses
from twingym.twins import FitConfig, fit_twin
from twingym.twins.errors import SpecError
from twingym.twins.fit import _Fit
from twingym.twins.model import digest
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=1, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)
QUICK = ("--epochs", "3", "--batches", "12", "--batch-tokens", "600", "--learning-rate", "3e-3")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A scenario file with a model that has learned too little, and courses of a hundred people in a table."""
    folder = tmp_path_factory.mktemp("nudge")
    path = Path(shutil.copy(Path(__file__).parent / "nudge_scenario.py", folder / "nudge.py"))
    scenario = get(path)
    source = collect(scenario, np.arange(60), 1)
    fit_twin(source, scenario.twin_spec(), config=FitConfig(epochs=1, batches=4, batch_tokens=300), network=SMALL).save(
        folder / "nudge_twin"
    )
    frame = course_frame(scenario, collect(scenario, np.arange(1000, 1120), 2))
    frame.drop(columns=["luck"], errors="ignore").to_csv(folder / "came_back.csv", index=False)
    return folder


@pytest.fixture
def nudge(built, tmp_path):
    """A copy that may be changed: the file, its model, the table."""
    shutil.copytree(built, tmp_path / "here")
    return tmp_path / "here"


def test_a_better_model_takes_the_place_of_the_old_one_but_not_its_card(nudge, tmp_path, capsys):
    home, out = nudge / "nudge_twin", tmp_path / "out"
    (home / "card.json").write_text("{}")
    (home / "card.md").write_text("old")
    old = digest(home)
    words = ("refit", "--env", str(nudge / "nudge.py"), "--courses", str(nudge / "came_back.csv"), *QUICK)
    assert twingym(*words, "--out", str(out)) == 0
    assert digest(home) == old  # nothing was asked for but a comparison
    assert digest(out / "twin") != old
    card = json.loads((out / "refit.json").read_text())
    assert card["verdict"] == "better"
    assert card["against"] == []
    assert card["loss_after"] < card["loss_before"]
    assert card["courses"] == 120
    assert card["skill_on_reference"] == {}  # there is no plan of comparison
    assert card["training"]["refit_of"] == old
    assert "Nothing speaks against" in (out / "refit.md").read_text()

    assert twingym(*words, "--replace", "--out", str(tmp_path / "again")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "its card was that of the old model" in said
    assert digest(home) == digest(tmp_path / "again" / "twin") == digest(out / "twin")
    assert digest(tmp_path / "again" / "before") == old
    assert (tmp_path / "again" / "before" / "card.md").read_text() == "old"
    assert not (home / "card.json").exists()
    assert not (home / "card.md").exists()
    RunDir.open(tmp_path / "again").verify()


def test_a_model_that_is_no_better_stays_out(nudge, tmp_path, capsys):
    home, out = nudge / "nudge_twin", tmp_path / "out"
    old = digest(home)
    words = ("--courses", str(nudge / "came_back.csv"), "--epochs", "1", "--batches", "1", "--learning-rate", "1e-12")
    assert twingym("refit", "--env", str(nudge / "nudge.py"), *words, "--replace", "--out", str(out)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "stays out of" in said
    assert "nothing was learned" in said
    assert digest(home) == old
    assert not (out / "before").exists()


def test_a_model_that_learned_of_others_and_forgot_stays_out(nudge, tmp_path, capsys):
    """Whoever came back is of another kind; what the model is better at says nothing about the people it is for."""
    path, table = nudge / "nudge.py", nudge / "came_back.csv"
    path.write_text(path.read_text() + PLANNED)
    scenario = get(path)
    config = FitConfig(epochs=4, batches=30, batch_tokens=300, ema=0.9)
    fit_twin(collect(scenario, np.arange(300), 1), scenario.twin_spec(), config=config, network=SMALL).save(
        nudge / "nudge_twin"
    )
    frame = pd.read_csv(table)
    frame.assign(mood=1.0 - frame["mood"]).to_csv(table, index=False)
    old, hard = digest(nudge / "nudge_twin"), ("--epochs", "6", "--batches", "25", "--learning-rate", "1e-2")
    words = ("refit", "--env", str(path), "--courses", str(table), *hard, "--batch-tokens", "600", "--replace")
    assert twingym(*words, "--out", str(tmp_path / "out")) == 2
    assert "ahead" in " ".join(capsys.readouterr().err.split())  # by CRPS, or all of its futures end
    card = json.loads((tmp_path / "out" / "refit.json").read_text())
    assert card["verdict"] == "better"
    assert set(card["skill_on_reference"]) == {"2 weeks ahead", "4 weeks ahead"}
    assert digest(nudge / "nudge_twin") == old


def test_futures_that_end_where_courses_go_on_speak_against_a_model():
    told = clearly_worse(
        {"a week ahead": (-inf, -inf, -inf), "a month ahead": (nan, nan, nan), "a day ahead": (-0.5, -0.6, -0.4)}
    )
    assert told == [
        "courses that go on a week ahead end in nearly all its futures",
        "its CRPS a day ahead is 50.0% higher (40.0% to 60.0%)",
    ]


def test_a_refit_that_was_stopped_goes_on(nudge, tmp_path, monkeypatch, capsys):
    out, whole = tmp_path / "out", tmp_path / "whole"
    words = ("refit", "--env", str(nudge / "nudge.py"), "--courses", str(nudge / "came_back.csv"), *QUICK)
    assert twingym(*words, "--out", str(whole)) == 0
    run_epoch = _Fit.run_epoch

    def stopped(self, advance):
        if self.epoch == 1:
            raise KeyboardInterrupt
        run_epoch(self, advance)

    monkeypatch.setattr(_Fit, "run_epoch", stopped)
    assert twingym(*words, "--out", str(out)) == 130
    assert f"twingym refit --resume {out}" in "".join(capsys.readouterr().out.split("\n"))
    monkeypatch.undo()
    frame = pd.read_csv(nudge / "came_back.csv")
    frame.assign(mood=frame["mood"] * 0.5).to_csv(nudge / "came_back.csv", index=False)
    assert twingym("refit", "--resume", str(out)) == 2
    assert "began with courses_sha256" in capsys.readouterr().err
    frame.to_csv(nudge / "came_back.csv", index=False)
    assert twingym("refit", "--resume", str(out)) == 0
    assert digest(out / "twin") != ""
    same = [json.loads((run / "refit.json").read_text())["loss_after"] for run in (out, whole)]
    assert same[0] == pytest.approx(same[1], rel=1e-6)
    assert twingym("refit", "--resume", str(out)) == 2
    assert "is finished" in capsys.readouterr().err


def test_what_a_trained_policy_brings_about_is_learned_from(nudge, tmp_path):
    scenario = get(nudge / "nudge.py")
    run = RunDir.create(tmp_path / "ppo_1", {"verb": "train", "args": {}, **describe(scenario)})
    agent = train(scenario, dynamics="reference", n_timesteps=64, n_envs=8, changes={"n_steps": 8, "batch_size": 64})
    export_policy(agent.policy, scenario, run.path / "policy")
    run.seal()
    out = tmp_path / "out"
    assert twingym("refit", "--run", str(run.path), "--people", "60", *QUICK, "--out", str(out)) == 0
    card = json.loads((out / "refit.json").read_text())
    assert (card["courses"], card["held_out_people"]) == (60, 12)
    assert card["courses_sha256"] is None


def test_a_course_may_have_ended_and_few_people_are_refused(nudge, tmp_path, capsys):
    scenario, table = get(nudge / "nudge.py"), nudge / "came_back.csv"
    frame = pd.read_csv(table)
    quitters = frame.groupby("person")["quits"].max() > 0
    assert quitters.any()
    courses = read_courses(scenario, table, going_on=False)
    assert np.nanmax(courses.observed[..., 1], axis=1).sum() == quitters.sum()
    with pytest.raises(SpecError, match="an event ends a course"):
        read_courses(scenario, table)
    frame[frame["person"] < 1003].to_csv(table, index=False)
    words = ("refit", "--env", str(nudge / "nudge.py"), "--courses", str(table), "--out", str(tmp_path / "out"))
    assert twingym(*words) == 2
    assert "Splits are a hash of the person's number" in capsys.readouterr().err
    assert twingym(*words[:3], *words[5:]) == 2
    assert "allowed: one of the two" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
