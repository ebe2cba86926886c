"""Is `import twingym` cheap, and does it make the environments known all the same?"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "pandas", "matplotlib", "scipy", "stable_baselines3", "tensorboard", "tyro", "rich"}
PROBE = """
import json, sys
import twingym
modules = sorted(sys.modules)
import gymnasium
ids = sorted(name for name in gymnasium.registry if name.startswith("twingym/"))
print(json.dumps({"modules": modules, "ids": ids}))
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def scenario_files() -> dict[str, Path]:
    """Return the files that declare a scenario, by the name of their module."""
    found = {}
    for path in sorted((ROOT / "scenarios").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        if any(node.id == "SCENARIO" and isinstance(node.ctx, ast.Store) for node in names):
            found[".".join(["twingym", *path.relative_to(ROOT).with_suffix("").parts])] = path
    return found


def test_nothing_heavy_is_loaded(probe: dict[str, list[str]]) -> None:
    assert HEAVY & set(probe["modules"]) == set()


def test_no_scenario_is_loaded(probe: dict[str, list[str]]) -> None:
    assert scenario_files(), "no file in scenarios/ declares SCENARIO"
    assert set(scenario_files()) & set(probe["modules"]) == set()


def test_every_scenario_has_a_gymnasium_id(probe: dict[str, list[str]]) -> None:
    assert "twingym/Glucose-v0" in probe["ids"]
    assert len(probe["ids"]) == len(scenario_files())
