"""Can a newcomer ask what may become of one person, from the example file on?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread
from tests.command_line import twingym

from twingym.experiments.run_dir import RunDir, describe
from twingym.scenarios import get
from twingym.scenarios.weights import weights_folder


def test_from_the_example_to_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    course, out = tmp_path / "person.csv", tmp_path / "out"
    assert twingym("whatif", "--example", str(course)) == 0
    frame = pd.read_csv(course)[:25]  # two hours are quicker to read than twelve
    frame.loc[24, "insulin"] = float("nan")
    frame.to_csv(course, index=False)
    words = ["--person", str(course), "--policies", "basal_bolus", "closed_loop", "--steps", "12", "--samples", "8"]
    assert twingym("whatif", *words, "--out", str(out)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "The reference is itself a model; nothing here is for treatment decisions." in said
    assert "Judged by the transformer twin of Glucose-v0" in said
    assert "time_in_range" in said
    assert "does the model fit the course so far? cgm: no sign against it (24 observations, evidence" in said
    fit = pd.read_csv(out / "fit.csv")
    assert fit.loc[0, "wanted"] == 20.0
    assert 0.0 < fit.loc[0, "evidence"] < 20.0
    summary = pd.read_csv(out / "summary.csv")
    assert set(summary["policy"]) == {"basal_bolus", "closed_loop"}
    assert (summary["low"] <= summary["high"]).all()
    bands = pd.read_csv(out / "bands.csv")
    assert bands["time"].min() == 24 * 5
    person = int(summary["person"].iloc[0])
    assert imread(out / f"person_{person}.png").ndim == 3
    assert (out / "manifest.json").is_file()


def test_errors_of_readings_widen_where_the_person_is_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    course = tmp_path / "person.csv"
    assert twingym("whatif", "--example", str(course)) == 0
    frame = pd.read_csv(course)[:13]
    frame.loc[12, "insulin"] = float("nan")
    frame.to_csv(course, index=False)
    words = ["--person", str(course), "--policies", "basal_bolus", "--steps", "3", "--samples", "20"]
    widths = []
    for name, more in (("exact", []), ("erring", ["--error", "cgm:15"])):
        assert twingym("whatif", *words, *more, "--out", str(tmp_path / name)) == 0
        now = pd.read_csv(tmp_path / name / "bands.csv").iloc[0]
        widths.append(now["high"] - now["low"])
    assert widths[0] == 0.0
    assert 10.0 < widths[1] < 60.0
    assert twingym("whatif", *words, "--error", "cgm", "--out", str(tmp_path / "none")) == 2
    assert "cgm:15" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_trained_run_stands_beside_rules_and_a_changed_person_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course, out = tmp_path / "person.csv", tmp_path / "out"
    scenario = get("Glucose-v0")
    run = RunDir.create(tmp_path / "ppo" / "Glucose-v0_1", {"verb": "train", "args": {}, **describe(scenario)})
    shutil.copytree(weights_folder(scenario) / "policies" / "ppo_twin", run.path / "policy")
    run.seal()
    assert twingym("whatif", "--example", str(course)) == 0
    frame = pd.read_csv(course)[:73]
    frame["insulin"] *= 4.0  # most of what was recorded never arrived
    frame.loc[72, "insulin"] = float("nan")
    frame.to_csv(course, index=False)
    words = ["whatif", "--person", str(course), "--steps", "6", "--samples", "4", "--policies", "pid"]
    assert twingym(*words, str(run.path), "--out", str(out)) == 0
    assert set(pd.read_csv(out / "summary.csv")["policy"]) == {"pid", "ppo/Glucose-v0_1"}
    said = " ".join(capsys.readouterr().out.split())
    assert "cgm: no longer, since" in said
    assert "do not rely on these futures" in said
    assert pd.read_csv(out / "fit.csv").loc[0, "since"] % 5 == 0

    retention = RunDir.create(tmp_path / "ppo" / "R_1", {"verb": "train", "args": {}, **describe(get("Retention-v0"))})
    for wrong, told in (
        (str(retention.path), "is on scenario Retention-v0, not on Glucose-v0; pass --env Retention-v0"),
        (str(tmp_path / "ppo" / "Glucose-v0_2"), "Did you mean"),
        ("closed_lop", "closed_loop"),
    ):
        assert twingym(*words, wrong, "--out", str(tmp_path / "none")) == 2
        assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "none").exists()


def test_mistakes_are_told_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    course, out = tmp_path / "person.csv", tmp_path / "out"
    assert twingym("whatif", "--example", str(course)) == 0
    assert twingym("whatif", "--example", str(course)) == 2
    assert "is there already" in capsys.readouterr().err
    assert twingym("whatif", "--out", str(out)) == 2
    assert "--example" in capsys.readouterr().err
    frame = pd.read_csv(course)
    frame.loc[3, "cgm"] = -5.0
    frame.to_csv(course, index=False)
    assert twingym("whatif", "--person", str(course), "--out", str(out)) == 2
    assert "row 5, cgm: -5.0; allowed: 39 to 600 mg/dL" in capsys.readouterr().err
    assert not out.exists()
