"""Does the shift block treat people as it says, and find out a model that is wrong away from its data?"""

import dataclasses

import numpy as np
import pytest
from tests.deaf_reference import Deaf

from twingym.evaluation.fidelity import shift as block
from twingym.evaluation.fidelity.replay import record
from twingym.evaluation.fidelity.shift import shift
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.twins import people


@pytest.fixture(scope="module")
def glucose():
    scenario = get("Glucose-v0")
    return scenario, dataclasses.replace(scenario.fidelity, history=60, horizons={"2 hours": 24})


@pytest.fixture(autouse=True)
def short_search(monkeypatch):
    monkeypatch.setattr(block, "ROUNDS", 2)
    monkeypatch.setattr(block, "CANDIDATES", 3)


@pytest.mark.parametrize("name", [name for name in names() if ships(name)])
def test_the_largest_and_the_smallest_factor_change_what_is_forecast(name):
    scenario = get(name)
    plan, ids = scenario.fidelity, people("test", 200)
    steps = plan.history + max(plan.horizons.values())
    planned = record(scenario, ids, 1, steps, plan).intended
    for factor in (min(plan.shifts), max(plan.shifts)):
        changed = plan.shift(planned, np.full(len(ids), factor))
        assert (changed != planned)[:, plan.history : steps].any(axis=(1, 2)).mean() > 0.3, factor


def test_the_reference_forecasts_itself_under_every_treatment(glucose):
    scenario, plan = glucose
    found = shift(scenario, plan, scenario.reference(), people("test", 60), people("validation", 30), 3, 10)
    assert list(found) == ["planned", "random", "aggressive", "doubted", "adversarial"]
    for scored in found.values():
        assert scored["coverage"] == pytest.approx(0.9, abs=0.12)
        assert scored["ended"] == pytest.approx(scored["ended_reference"], abs=0.1)
        assert scored["error"][0] < 3.0  # mg/dL, where two means of ten futures differ by 6 through chance


def test_a_model_that_is_deaf_to_large_doses_is_found_out(glucose):
    scenario, plan = glucose
    deaf = Deaf(scenario.reference(), 2.0)
    found = shift(scenario, plan, deaf, people("test", 60), people("validation", 30), 3, 10)
    assert found["aggressive"]["bias"] > found["planned"]["bias"] + 5.0
    assert found["aggressive"]["crps"] > found["planned"]["crps"]
    assert found["adversarial"]["error"][0] > found["planned"]["error"][0]
    assert found["adversarial"]["error"][0] > 0.9 * found["aggressive"]["error"][0]
    assert max(found["adversarial"]["factors"]) <= max(plan.shifts)
