"""Do imports point one way: twins <- scenarios <- envs <- evaluation <- agents <- experiments?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("twins", "scenarios", "envs", "evaluation", "agents", "experiments")
NOT_IN_TWINS = {"gymnasium", "stable_baselines3"}
# A lazy import is a whole string: "twingym.envs", "twingym.envs.vector" or "twingym.envs.vector:TwinEnv".
DOTTED = re.compile(rf"twingym\.(?:{'|'.join(LAYERS)})(?:\.\w+)*(?::\w+)?")


def imported(source: str, layer: str) -> Iterator[tuple[str, int]]:
    """Yield the dotted name and the line of everything that a module of a layer imports, lazily or not."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                package = ["twingym", layer][: 3 - level] if level else []
                base = ".".join([*package, *([module] if module else [])])
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in names)
            case ast.Attribute(value=ast.Name(id="twingym"), attr=attr):
                yield f"twingym.{attr}", node.lineno
            case ast.Constant(value=str(text)) if DOTTED.fullmatch(text):
                yield text.partition(":")[0], node.lineno


def violations(source: str, layer: str) -> list[str]:
    """Return what a module of a layer may not import."""
    above = LAYERS[LAYERS.index(layer) + 1 :]
    found = []
    for name, line in imported(source, layer):
        top, _, rest = name.partition(".")
        upwards = top == "twingym" and rest.split(".")[0] in above
        if upwards or (layer == "twins" and top in NOT_IN_TWINS):
            found.append(f"line {line}: {layer} imports {name}")
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    found = {
        path.name: wrong
        for path in sorted((ROOT / layer).glob("*.py"))
        if (wrong := violations(path.read_text(encoding="utf-8"), layer))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("twins", "import gymnasium as gym"),
        ("twins", "from stable_baselines3.common import utils"),
        ("twins", "from twingym.scenarios.scenario import Scenario"),
        ("scenarios", "from twingym import envs"),
        ("scenarios", "from ..envs import registration"),
        ("envs", "from .. import evaluation"),
        ("envs", "import twingym\n\nx = twingym.agents.PPOLag"),
        ("evaluation", "def f():\n    from twingym.agents import shield"),
        ("evaluation", "import twingym.agents.shield"),
        ("agents", "WHERE = 'twingym.experiments.train:main'"),
    ],
)
def test_a_planted_violation_is_found(layer: str, source: str) -> None:
    assert len(violations(source, layer)) == 1


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("scenarios", "from twingym.twins.variables import Variable"),
        ("scenarios", "from . import registry"),
        ("envs", "from .registration import register_all"),
        ("envs", "from ..twins import noise\nimport gymnasium"),
        ("twins", "from twingym import __version__"),
        ("twins", "'''See twingym.envs for the environments.'''"),
        ("experiments", "from twingym.agents import shield"),
    ],
)
def test_what_is_allowed_is_not_reported(layer: str, source: str) -> None:
    assert violations(source, layer) == []
