"""Do the verbs work end to end, as typed, and does each mistake give one clear error and change nothing?"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.command_line import twingym

from twingym.agents.callbacks import ConstraintLog
from twingym.agents.export import load_policy
from twingym.agents.policy import latest_checkpoint
from twingym.evaluation.tables import verify
from twingym.experiments import fit, train
from twingym.experiments.cli import STOPPED, VERBS, module_of, run_verb
from twingym.experiments.compare import by_name
from twingym.experiments.demo import free_demo
from twingym.experiments.judging import Bench
from twingym.experiments.run_dir import RunDir
from twingym.twins.errors import SpecError

MIRROR = str(Path(__file__).parent / "mirror_scenario.py")
QUICK = ["--env", MIRROR, "--dynamics", "reference", "--n-envs", "64", "--no-progress"]
SMALL = ["--hyperparams", "n_steps:16", "batch_size:512", "--eval-people", "40"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert twingym("train", *QUICK, *SMALL, "--n-timesteps", "4096", "--log-folder", str(folder)) == 0
    return folder


@pytest.fixture(scope="module")
def run(root: Path) -> RunDir:
    return RunDir.open(root / "ppo" / "Mirror-v0_1")


def scalars_of(folder: Path) -> dict[str, list[float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_train_leaves_a_complete_run(run: RunDir) -> None:
    run.verify()
    verify(run.path / "tables")
    assert run.config["args"]["n_timesteps"] == 4096
    settings = run.config["hyperparameters"]
    assert (settings["n_envs"], settings["n_timesteps"], settings["arguments"]["n_steps"]) == (64, 4096, 16)
    assert settings["arguments"]["gamma"] == 0.99  # as the YAML has it
    assert run.config["twin_sha256"] is None  # trained on the reference
    assert latest_checkpoint(run.path / "checkpoints").name == "steps_000000004096"
    assert load_policy(run.path / "policy").description["scenario"] == "Mirror-v0"
    table = pd.read_csv(run.path / "tables" / "comparison.csv")
    assert list(table["policy"]) == ["ppo", "nothing", "match"]
    assert table.set_index("policy").loc["match", "return"] == pytest.approx(16.0)
    assert {"return_against_cost.png", "courses_reference.png"} <= {p.name for p in (run.path / "figures").iterdir()}


def test_train_shows_policies_side_by_side_in_tensorboard(run: RunDir) -> None:
    board = run.path / "tensorboard"
    assert {p.name for p in board.iterdir()} == {"training", "ppo", "nothing", "match", "limit", "figures"}
    training, judged = scalars_of(board / "training"), scalars_of(board / "ppo")
    shared = {
        "constraint/far/cost_return",
        "constraint/far/limit",
        "constraint/far/violation_rate",
        "fairness/half/gap",
        "fairness/half/worst",
    }
    assert shared <= set(training) & set(judged)
    assert scalars_of(board / "match")["policy/return"] == pytest.approx([16.0, 16.0])  # a level line
    figures = EventAccumulator(str(board / "figures"))
    figures.Reload()
    assert {"return_against_cost", "courses/reference", "groups/return_reference"} <= set(figures.Tags()["images"])
    row = EventAccumulator(str(board / "ppo"))
    row.Reload()
    assert "_hparams_/session_start_info" in row.summary_metadata


def test_a_second_training_gets_a_folder_of_its_own(run: RunDir, root: Path) -> None:
    before = (run.path / "manifest.json").read_bytes()
    assert twingym("train", *QUICK, "--eval-people", "0", "--n-timesteps", "100", "--log-folder", str(root)) == 0
    assert (root / "ppo" / "Mirror-v0_2" / "policy").is_dir()
    assert (run.path / "manifest.json").read_bytes() == before


def test_evaluate_judges_a_run_and_a_rule(run: RunDir, root: Path) -> None:
    shared = ["--people", "30", "--horizon", "8", "--no-progress", "--log-folder", str(root)]
    assert twingym("evaluate", "--run", str(run.path), *shared) == 0
    assert twingym("evaluate", "--rule", "match", "--env", MIRROR, *shared) == 0
    trained, rule = (pd.read_csv(root / "evaluate" / f"Mirror-v0_{n}" / "tables" / "episodes.csv") for n in (1, 2))
    assert list(trained["twin"]) == list(rule["twin"])
    assert list(rule[rule["policy"] == "match"]["return"]) == pytest.approx([8.0] * 30)
    assert set(trained["policy"]) == {"ppo/Mirror-v0_1", "nothing"}
    table = pd.read_csv(root / "evaluate" / "Mirror-v0_2" / "tables" / "comparison.csv").set_index("policy")
    assert table.loc["match", "gain"] > table.loc["nothing", "gain"] == 0.0


def test_compare_puts_runs_and_rules_side_by_side(run: RunDir, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--runs",
        str(run.path),
        "--rules",
        "match",
        "nothing",
        "--people",
        "30",
        "--no-progress",
        "--log-folder",
        str(root),
    ]
    assert twingym("compare", *words) == 0
    folder = root / "compare" / "Mirror-v0_1"
    verdicts = pd.read_csv(folder / "tables" / "verdicts.csv")
    assert set(verdicts["policy"]) == {"ppo/Mirror-v0_1", "match", "nothing"}
    assert dict(zip(verdicts["policy"], verdicts["limits_hash"], strict=True))["match"] == run.config["limits_hash"]
    board = folder / "tensorboard"
    assert "train/loss" in scalars_of(board / "ppo" / "Mirror-v0_1" / "training")
    assert scalars_of(board / "nothing")["constraint/far/cost_return"][0] > 0.5
    shown = capsys.readouterr().out
    assert "On the reference: 30 people" in shown
    assert f"tensorboard --logdir {board}" in shown.replace("\n", "")


def test_a_run_directory_is_never_overwritten(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in run.path.rglob("*"))
    assert twingym("train", *QUICK, "--out", str(run.path)) == 2
    assert "a run is never overwritten" in capsys.readouterr().err
    assert sorted((p, p.stat().st_mtime_ns) for p in run.path.rglob("*")) == before


def stopped_training(root: Path, steps: str, capsys: pytest.CaptureFixture[str]) -> Path:
    """Train until somebody presses Ctrl-C, be told how to go on, and return the run."""
    assert twingym("train", *QUICK, *SMALL, "--n-timesteps", steps, "--log-folder", str(root)) == STOPPED
    folder = root / "ppo" / "Mirror-v0_1"
    assert f"twingym train --resume {folder}" in capsys.readouterr().out.replace("\n", "")
    return folder


def test_ctrl_c_saves_and_names_the_command_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(self: ConstraintLog) -> bool:
        if self.num_timesteps >= 2000:
            raise KeyboardInterrupt
        return True

    with monkeypatch.context() as patched:
        patched.setattr(ConstraintLog, "_on_step", pressed)
        folder = stopped_training(tmp_path, "4096", capsys)
    assert not (folder / "policy").exists()

    config = json.loads((folder / "config.json").read_text())
    other = config | {"hyperparameters": config["hyperparameters"] | {"n_envs": 32}}
    (folder / "config.json").write_text(json.dumps(other))
    assert twingym("train", "--resume", str(folder)) == 2
    assert "began with hyperparameters" in capsys.readouterr().err
    (folder / "config.json").write_text(json.dumps(config))

    assert twingym("train", "--resume", str(folder)) == 0
    assert latest_checkpoint(folder / "checkpoints").name >= "steps_000000004096"
    assert (folder / "policy").is_dir()
    assert twingym("train", "--resume", str(folder)) == 2
    assert "is finished" in capsys.readouterr().err


def test_ctrl_c_while_judging_keeps_the_policy_and_goes_on_with_the_judging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Bench, "judge", pressed)
        folder = stopped_training(tmp_path, "1024", capsys)
    policy = (folder / "policy" / "policy.safetensors").read_bytes()
    assert twingym("train", "--resume", str(folder)) == 0
    RunDir.open(folder).verify()
    assert (folder / "tables" / "comparison.csv").is_file()
    assert (folder / "policy" / "policy.safetensors").read_bytes() == policy


def test_ctrl_c_in_a_fit_says_that_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "fit_twin", pressed)
    assert twingym("fit", "--env", MIRROR, "--people", "20", "--out", str(tmp_path / "twin")) == STOPPED
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "unknown verb 'trian'. Did you mean 'train'"),
        (["train", "--env", "Glucos-v0"], "Did you mean 'Glucose-v0'"),
        (["train", "--algo", "pp0", "--dynamics", "reference"], "Did you mean 'ppo'"),
        (["train", "--env", MIRROR, "--algo", "dqn", "--dynamics", "reference"], "needs Discrete actions"),
        (["train", "--env", MIRROR, "--dynamics", "referense"], "Did you mean 'reference'"),
        (["train", "--env", MIRROR, "--dynamics", "reference", "--hyperparams", "gama:0.9"], "Did you mean 'gamma'"),
        (["train", "--env", MIRROR, "--dynamics", "reference", "--hyperparams", "gamma"], "allowed: name:value"),
        (["train", "--env", MIRROR, "--dynamics", "reference", "--eval-rules", "mach"], "Did you mean 'match'"),
        (["evaluate", "--rule", "mach", "--env", MIRROR], "Did you mean 'match'"),
        (["evaluate"], "allowed: one of the two"),
        (["evaluate", "--run", "nowhere"], "nowhere is not a run"),
        (["evaluate", "--rule", "match", "--env", MIRROR, "--people", "0"], "people is 0; allowed: 1 or more"),
        (["evaluate", "--rule", "match", "--env", MIRROR, "--horizon", "0"], "horizon is 0; allowed: 1 or more"),
        (["evaluate", "--rule", "match", "--env", MIRROR, "--seeds", "1", "1"], "each once"),
        (["evaluate", "--rule", "match", "--env", MIRROR, "--dynamics", "reference", "transfomer"], "'transformer'"),
        (["evaluate", "--rule", "match", "--env", MIRROR, "--weights", "nowhere"], "nowhere"),
        (["train", "--env", MIRROR, "--dynamics", "reference", "--n-envs", "0"], "n_envs is 0; allowed: 1 or more"),
        (["train", "--env", MIRROR, "--dynamics", "reference", "--n-timesteps", "-5"], "n_timesteps is -5"),
        (["train", "--env", MIRROR, "--dynamics", "reference", "--eval-people", "-3"], "eval_people is -3"),
        (["compare"], "neither runs nor env is given"),
        (["show", "no_such_file.py"], "does not exist"),
    ],
)
def test_a_mistake_gives_one_clear_error_and_leaves_nothing(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert twingym(*words) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["batch_size:0", "n_steps:abc", "policy:MlpPolcy", "paired_with:nevr", "gamma:7"])
def test_a_training_that_cannot_begin_leaves_no_run(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert twingym("train", *QUICK, "--hyperparams", setting, "--out", str(tmp_path / "run")) == 2
    shown = capsys.readouterr().err
    assert setting.partition(":")[2] in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_runs_that_are_named_alike_are_told_apart(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(Path(shutil.copytree(run.path, tmp_path / "again" / "ppo" / "Mirror-v0_1")))
    assert list(by_name([run])) == ["ppo/Mirror-v0_1"]
    assert list(by_name([run, copy])) == [f"{run.path.parts[-3]}/ppo/Mirror-v0_1", "again/ppo/Mirror-v0_1"]
    with pytest.raises(SpecError, match="named twice"):
        by_name([run, copy, run])


def test_a_scenario_that_is_not_that_of_the_runs_is_refused(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb, flag in (("evaluate", "--run"), ("compare", "--runs")):
        words = [verb, flag, str(run.path), "--env", "Glucose-v0", "--log-folder", str(tmp_path)]
        assert twingym(*words) == 2
        assert "leave env out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sealed", "message"), [(True, "it differs from manifest"), (False, "is corrupt: its SHA-256")]
)
def test_a_corrupt_policy_is_refused(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str], sealed: bool, message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    if not sealed:  # stopped while it was judged
        (copy / "manifest.json").unlink()
    blob = bytearray((copy / "policy" / "policy.safetensors").read_bytes())
    blob[-3] ^= 8
    (copy / "policy" / "policy.safetensors").write_bytes(bytes(blob))
    assert twingym("evaluate", "--run", str(copy), "--log-folder", str(tmp_path / "runs")) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_list_and_show_tell_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert twingym("list") == 0
    assert "twingym/Glucose-v0" in capsys.readouterr().out
    assert twingym("show", "Glucose-v0") == 0
    shown = capsys.readouterr().out
    for wanted in (
        "mg/dL",
        "times basal",
        "below_70",
        "Battelino et al. 2019",
        "sensitivity_band",
        "basal_bolus (baseline)",
    ):
        assert wanted in shown


@pytest.mark.parametrize("verb", [*VERBS, "demo"])
def test_help_is_the_documentation_of_the_flags(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = module_of(verb)
    with pytest.raises(SystemExit) as stop:
        run_verb(module, ["--help"], f"twingym {verb}")
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for field in dataclasses.fields(module.Args):
        positional = field.name in ("env", "name") and verb in ("show", "new-scenario", "check-scenario")
        assert positional or field.name.replace("_", "-") in shown


def test_a_verb_is_a_module_that_python_runs(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "twingym.experiments.show", "Glucose"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown scenario 'Glucose'. Did you mean 'Glucose-v0'")


def test_a_second_demo_does_not_meet_the_first(tmp_path: Path) -> None:
    assert free_demo(tmp_path) == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    assert free_demo(tmp_path) == tmp_path / "demo_2"


def test_hyperparameters_are_read_as_the_zoo_writes_them() -> None:
    assert train.parsed(("n_steps:16", "learning_rate:lin_0.01", "normalize:true", "ent_coef:1e-3")) == {
        "n_steps": 16,
        "learning_rate": "lin_0.01",
        "normalize": True,
        "ent_coef": 0.001,
    }
