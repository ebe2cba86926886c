"""Do imports point one way: twins <- scenarios <- envs <- evaluation <- agents <- experiments? Are worlds apart?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("twins", "scenarios", "envs", "evaluation", "agents", "experiments")
NOT_IN_TWINS = {"gymnasium", "stable_baselines3"}
# A shipped world is asked for by its id; beyond its folder nobody imports it.
WORLDS = {path.parent.name for path in (ROOT / "scenarios").glob("*/scenario.py")} - {"table"}
# A lazy import is a whole string: "twingym.envs", "twingym.envs.vector" or "twingym.envs.vector:TwinEnv".
DOTTED = re.compile(rf"twingym\.(?:{'|'.join(LAYERS)})(?:\.\w+)*(?::\w+)?")


def imported(source: str, package: str) -> Iterator[tuple[str, int]]:
    """Yield the dotted name and the line of everything that a module of a package imports, lazily or not."""
    parts = ["twingym", *package.split("/")]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = parts[: len(parts) + 1 - level] if level else []
                base = ".".join([*above, *([module] if module else [])])
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in names)
            case ast.Attribute(value=ast.Name(id="twingym"), attr=attr):
                yield f"twingym.{attr}", node.lineno
            case ast.Constant(value=str(text)) if DOTTED.fullmatch(text):
                yield text.partition(":")[0], node.lineno


def allowed(name: str, package: str) -> bool:
    """Return whether a module of a package, such as ``twins`` or ``scenarios/glucose``, may import a name."""
    own = package.partition("/")[0]
    match name.split("."):
        case ["twingym", "scenarios", world, *_] if world in WORLDS:
            return package == f"scenarios/{world}"
        case ["twingym", layer, *_] if layer in LAYERS:
            return LAYERS.index(layer) <= LAYERS.index(own)
        case [top, *_]:
            return own != "twins" or top not in NOT_IN_TWINS
    return True


def violations(source: str, package: str) -> list[str]:
    """Return what a module of a package imports though it may not."""
    found = imported(source, package)
    return [f"line {line}: {package} imports {name}" for name, line in found if not allowed(name, package)]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix(): wrong
        for path in sorted((ROOT / layer).rglob("*.py"))
        if (wrong := violations(path.read_text(encoding="utf-8"), path.parent.relative_to(ROOT).as_posix()))
    }
    assert found == {}


def test_there_are_worlds_to_keep_apart() -> None:
    assert "glucose" in WORLDS


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("twins", "import gymnasium as gym"),
        ("twins", "from stable_baselines3.common import utils"),
        ("twins", "from twingym.scenarios.scenario import Scenario"),
        ("scenarios", "from twingym import envs"),
        ("scenarios", "from ..envs import registration"),
        ("scenarios/glucose", "from ...envs import registration"),
        ("scenarios/retention", "from twingym.scenarios.glucose.meals import draw_meals"),
        ("scenarios/retention", "from .. import glucose"),
        ("scenarios", "WHERE = 'twingym.scenarios.glucose.scenario:SCENARIO'"),
        ("experiments", "from twingym.scenarios.glucose import hovorka"),
        ("envs", "from .. import evaluation"),
        ("envs", "import twingym\n\nx = twingym.agents.PPOLag"),
        ("evaluation", "def f():\n    from twingym.agents import shield"),
        ("evaluation", "import twingym.agents.shield"),
        ("agents", "WHERE = 'twingym.experiments.train:main'"),
    ],
)
def test_a_planted_violation_is_found(package: str, source: str) -> None:
    assert len(violations(source, package)) == 1


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("scenarios", "from twingym.twins.variables import Variable"),
        ("scenarios", "from . import registry"),
        ("scenarios/glucose", "from . import hovorka"),
        ("scenarios/glucose", "from ..rule import Rule\nfrom twingym.scenarios.glucose.meals import draw_meals"),
        ("envs", "from .registration import register_all"),
        ("envs", "from ..twins import noise\nimport gymnasium"),
        ("twins", "from twingym import __version__"),
        ("twins", "'''See twingym.envs for the environments.'''"),
        ("experiments", "from twingym.agents import shield"),
    ],
)
def test_what_is_allowed_is_not_reported(package: str, source: str) -> None:
    assert violations(source, package) == []
