"""Does each shipped scenario still give the course that it gave when its version was set?

A change that is meant raises the scenario's version and writes a file of that name (``pytest --golden``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from tests import golden_file

from twingym.envs.vector import TwinVectorEnv
from twingym.evaluation.checks.course import course
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.twins.errors import RunExistsError

STEPS, TWINS, SEED = 40, (3, 14, 159), 7
SHIPPED = [name for name in names() if ships(name)]


def actions_of(env: TwinVectorEnv, step: int) -> ArrayLike:
    """A fixed sequence that differs between steps and people and uses the whole range."""
    slots = np.arange(env.num_envs)
    intervention = env.scenario.interventions[0]
    if intervention.categorical:
        return (step + slots) * 7 % 11 % len(intervention.levels)
    # Mostly about the basal rate, with a bolus now and then.
    return np.where((step + 5 * slots) % 13 == 0, 0.5, -0.4 + 0.05 * np.sin(step + slots))[:, None]


@pytest.mark.parametrize("name", SHIPPED)
def test_reference_course(name: str, golden: Callable[[str, Mapping[str, ArrayLike]], None]) -> None:
    scenario = get(name)
    found = course(scenario, lambda env, seen, step: actions_of(env, step), TWINS, STEPS, SEED)
    golden(name, found)


def test_every_golden_file_is_of_a_scenario_that_ships() -> None:
    found = {path.stem for path in golden_file.FOLDER.glob("*.json")}
    assert found == set(SHIPPED), "write that of a new version, remove that of one that is gone"


def test_the_golden_file_of_a_version_is_not_written_over(tmp_path: Path) -> None:
    path, kept = tmp_path / "golden" / "X-v0.json", {"reward": [1.0 / 3.0, 0.0], "steps": [[2.0]]}
    golden_file.write(path, "X-v0", kept)
    first = path.read_bytes()
    assert json.loads(first) == {"scenario": "X-v0", "reward": [0.3333333333, 0.0], "steps": [[2.0]]}
    golden_file.write(path, "X-v0", kept)  # the same again
    rounded, changed = ({**kept, "reward": [1.0 / 3.0 * (1.0 + by), 0.0]} for by in (1e-7, 1e-5))
    for arrays in (rounded, changed, {"reward": kept["reward"]}, {**kept, "steps": [2.0]}):
        with pytest.raises(
            RunExistsError, match=r"another course of X-v0; .* raises the version in the id to X-v1, .*rou"
        ):
            golden_file.write(path, "X-v0", arrays)
    with pytest.raises(RunExistsError, match=r"to X-v1, whose course goes into a file of its own\.$"):
        golden_file.write(path, "X-v0", changed, rounding=True)
    assert path.read_bytes() == first
    golden_file.write(path, "X-v0", rounded, rounding=True)
    assert golden_file.read(path, "X-v0")["reward"][0] == 0.3333333667
    with pytest.raises(AssertionError, match=r"X-v0\.json is of scenario 'X-v0'; allowed: 'X-v1'"):
        golden_file.read(path, "X-v1")
