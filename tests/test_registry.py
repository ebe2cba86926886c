"""Is a scenario found by path, by registration and by the entry point of a package, and does none hide another?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command_line import twingym

from twingym.scenarios import get, load, names, plugins, register, registry
from twingym.scenarios.weights import weights_folder
from twingym.twins.errors import SpecError

MIRROR = (Path(__file__).parent / "mirror_scenario.py").read_text(encoding="utf-8")


def mirror(name: str, horizon: int = 16) -> str:
    """Return the text of a scenario file."""
    assert "horizon=16," in MIRROR
    return MIRROR.replace("Mirror-v0", name).replace("horizon=16,", f"horizon={horizon},")


def read_again() -> None:
    """Forget what installed packages declare."""
    for cached in (plugins.plugins, registry._plugged):
        cached.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None) -> Iterator[Path]:
    """A folder of installed packages: one good scenario, two that are broken, and one that two packages claim."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "good_plugin.py").write_text(
        mirror("PluginGood-v0") + "\nfrom twingym.scenarios import register\n\nregister(SCENARIO)\n", encoding="utf-8"
    )
    (folder / "other_plugin.py").write_text(mirror("PluginOther-v0"), encoding="utf-8")
    (folder / "broken_plugin.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    packages = {
        "good": ["PluginGood-v0 = good_plugin:SCENARIO"],
        "bad": [
            "PluginBroken-v0 = broken_plugin:SCENARIO",
            "PluginMissing-v0 = good_plugin:NOTHING",
            "PluginMisnamed-v0 = other_plugin:SCENARIO",
            "no id = other_plugin:SCENARIO",
            "PluginTwice-v0 = other_plugin:SCENARIO",
        ],
        "rival": ["PluginTwice-v0 = good_plugin:SCENARIO"],
    }
    for package, entries in packages.items():
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text("\n".join(["[twingym.scenarios]", *entries, ""]), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    read_again()
    yield folder
    read_again()


def test_a_package_brings_a_scenario(site: Path) -> None:
    assert "PluginGood-v0" in names()
    scenario = get("twingym/PluginGood-v0")
    assert scenario.horizon == 16
    assert weights_folder(scenario) == site / "good_plugin_twin"
    assert get(site / "good_plugin.py").fingerprint() == scenario.fingerprint()
    assert register(scenario) == "PluginGood-v0"
    (site / "copy.py").write_text(mirror("PluginGood-v0", 9), encoding="utf-8")
    with pytest.raises(SpecError, match=r"copy\.py.*belongs to .*good_plugin\.py, with other content"):
        load(site / "copy.py")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("PluginBroken-v0", r"broken_plugin:SCENARIO, as package bad declares it .*nothing_of_that_name"),
        ("PluginMissing-v0", r"package bad declares it .*NOTHING"),
        ("PluginMisnamed-v0", r"package bad .*has the id 'PluginOther-v0'; allowed: the one it is declared by"),
        ("no id", r"declared by bad .*allowed as its name: a name and a version"),
        ("PluginTwice-v0", r"declared by bad and rival .*allowed: one of them"),
    ],
)
def test_a_broken_package_is_named_when_it_is_asked_for_and_breaks_no_other(
    site: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name in names()
    with pytest.raises(SpecError, match=message):
        get(name)
    assert get("PluginGood-v0").id == "PluginGood-v0"
    assert twingym("list") == 0
    shown = capsys.readouterr().out
    assert "Glucose-v0" in shown
    assert name in shown


def test_nothing_of_a_package_is_imported_before_it_is_asked_for(site: Path) -> None:
    probe = (
        "import json, sys, twingym, gymnasium\n"
        "before = [m for m in sys.modules if m.endswith('_plugin')]\n"
        "ids = sorted(i for i in gymnasium.registry if 'Plugin' in i or i == 'twingym/no id')\n"
        "env = gymnasium.make('twingym/PluginGood-v0', dynamics='reference')\n"
        "print(json.dumps([before, ids, env.unwrapped.scenario.horizon]))\n"
    )
    paths = os.pathsep.join([str(site), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, ids, horizon = json.loads(done.stdout)
    assert before == []
    assert ids == [f"twingym/Plugin{name}-v0" for name in ("Broken", "Good", "Misnamed", "Missing", "Twice")]
    assert horizon == 16


def test_what_ships_is_not_replaced_by_a_package(site: Path) -> None:
    glucose = get("Glucose-v0")
    info = site / "rival-1.0.dist-info" / "entry_points.txt"
    info.write_text("[twingym.scenarios]\nGlucose-v0 = other_plugin:SCENARIO\n", encoding="utf-8")
    read_again()
    with pytest.warns(UserWarning, match="package rival declares scenario 'Glucose-v0', which ships"):
        assert get("Glucose-v0") is glucose


@pytest.mark.usefixtures("own_registry")
def test_two_files_of_one_id_do_not_replace_each_other(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text(mirror("Claimed-v0"), encoding="utf-8")
    second.write_text(mirror("Claimed-v0", 9), encoding="utf-8")
    mine = load(first)
    with pytest.raises(SpecError, match=r"second\.py: id 'Claimed-v0' belongs to .*first\.py.*raise the version"):
        load(second)
    assert get("Claimed-v0") is mine
    assert registry.origin("Claimed-v0") == first
    second.write_text(mirror("Claimed-v1", 9), encoding="utf-8")
    assert load(second).horizon == 9
    second.write_text(mirror("Glucose-v0"), encoding="utf-8")
    with pytest.raises(SpecError, match="belongs to a scenario that ships"):
        load(second)


@pytest.mark.usefixtures("own_registry")
def test_a_file_does_not_replace_what_was_registered_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(mirror("InMemory-v0"), encoding="utf-8")
    mine = load(path)
    registry._origins.pop("InMemory-v0")
    path.write_text(mirror("InMemory-v0", 9), encoding="utf-8")
    with pytest.raises(SpecError, match="belongs to one in memory"):
        load(path)
    assert get("InMemory-v0") is mine


@pytest.mark.usefixtures("own_registry")
def test_an_edited_file_is_read_again_and_what_was_loaded_keeps_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(mirror("Edited-v0", 10), encoding="utf-8")
    before = load(path)
    known = before.fingerprint(), before.world_fingerprint()
    stamp = path.stat().st_mtime_ns
    path.write_text(mirror("Edited-v0", 12), encoding="utf-8")
    os.utime(path, ns=(stamp, stamp))  # an edit within the tick of the file system's clock
    assert (before.fingerprint(), before.world_fingerprint()) == known
    assert load(path).horizon == 12
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.usefixtures("own_registry")
def test_a_path_stands_wherever_a_verb_asks_for_a_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fit and train are in the walk of tests/test_docs.py, evaluate in tests/test_experiments_cli.py."""
    monkeypatch.chdir(tmp_path)
    path = Path("folder", "mine.py")
    path.parent.mkdir()
    path.write_text(mirror("ByPath-v0"), encoding="utf-8")
    words = ["--rules", "match", "--people", "20", "--dynamics", "reference", "--no-progress"]
    assert twingym("compare", "--env", str(path), *words) == 0
    assert (tmp_path / "runs" / "compare" / "ByPath-v0_1" / "tables" / "comparison.csv").is_file()
    assert twingym("whatif", "--env", str(path), "--example", "person.csv") == 0
    assert twingym("show", str(path)) == 0
    assert "twingym/ByPath-v0" in capsys.readouterr().out
    assert twingym("card", "--env", str(path)) == 2
    assert str(Path("folder", "mine_twin")) in capsys.readouterr().err
