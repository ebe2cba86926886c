"""Is a run found, trusted and never overwritten?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twingym.experiments.run_dir import RunDir, describe, free_path, scenario_of
from twingym.scenarios import get
from twingym.twins.errors import ManifestError, RunExistsError, SpecError

MIRROR = Path(__file__).parent / "mirror_scenario.py"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "runs" / "first", {"verb": "train", "args": {}, **describe(get(MIRROR))})


def test_a_run_says_what_made_it(run: RunDir) -> None:
    config = run.config
    assert config["scenario"] == "Mirror-v0"
    assert config["scenario_file"] == str(MIRROR)
    assert len(config["scenario_sha256"]) == 64
    assert {"python", "twingym", "torch", "stable-baselines3"} <= set(config["versions"])
    assert "commit" in config
    assert scenario_of(config).id == "Mirror-v0"


def test_a_run_is_never_overwritten(run: RunDir) -> None:
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(RunExistsError, match=r"first exists already and a run is never overwritten.*--resume"):
        RunDir.create(run.path, {"verb": "other"})
    assert (run.path / "config.json").read_bytes() == before


def test_default_names_count_up(tmp_path: Path) -> None:
    first = free_path(tmp_path, "ppo", "Glucose-v0")
    assert first == tmp_path / "ppo" / "Glucose-v0_1"
    RunDir.create(first, {})
    assert free_path(tmp_path, "ppo", "Glucose-v0") == tmp_path / "ppo" / "Glucose-v0_2"


def test_what_is_no_run_suggests_the_nearest(run: RunDir) -> None:
    with pytest.raises(SpecError, match=r"frist is not a run.*Did you mean .*first"):
        RunDir.open(run.path.with_name("frist"))


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read"), ('{"verb": "train"}', "lacks args, fingerprint")]
)
def test_a_corrupt_config_is_refused(run: RunDir, text: str, message: str) -> None:
    (run.path / "config.json").write_text(text)
    with pytest.raises(SpecError, match=message):
        _ = RunDir.open(run.path).config


def test_the_manifest_notices_a_changed_file(run: RunDir) -> None:
    table = run.write("tables/verdicts.csv", "name,estimate\na,0.5\n")
    (run.path / "events.out.tfevents.1").write_bytes(b"grows on")
    run.seal()
    run.verify()
    assert set(json.loads((run.path / "manifest.json").read_text())) == {"config.json", "tables/verdicts.csv"}
    table.write_text("name,estimate\na,0.1\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"verdicts.csv is changed"):
        run.verify()
    table.unlink()
    with pytest.raises(ManifestError, match=r"verdicts.csv is missing"):
        run.verify()


def test_a_changed_scenario_is_refused(run: RunDir) -> None:
    config = run.config | {"fingerprint": "0" * 16}
    with pytest.raises(SpecError, match="has changed since the run was made"):
        scenario_of(config)
