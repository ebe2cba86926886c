"""Does the curve of doses tell a model that hears them from one that does not?"""

import dataclasses

import pytest
from tests.deaf_reference import Deaf

from twingym.evaluation.fidelity.dose_response import dose_response
from twingym.scenarios import get
from twingym.twins import people


@pytest.fixture(scope="module")
def glucose():
    scenario = get("Glucose-v0")
    return scenario, dataclasses.replace(scenario.fidelity, history=60, effect_steps=36)


def test_the_reference_has_the_curve_of_the_reference(glucose):
    scenario, plan = glucose
    found = dose_response(scenario, plan, scenario.reference(), people("test", 40), 3, 2)
    means = [point["reference"] for point in found["curve"].values()]
    assert list(found["curve"]) == ["0", "0.5", "1", "1.5", "2"]
    assert means == sorted(means, reverse=True)  # insulin lowers glucose
    assert all(point["difference"] == [0.0] * 3 for point in found["curve"].values())
    assert (found["tau"], found["pairs"]) == (1.0, 10)


def test_a_model_that_does_not_hear_large_doses_has_a_flat_end(glucose):
    scenario, plan = glucose
    found = dose_response(scenario, plan, Deaf(scenario.reference(), 1.0), people("test", 40), 3, 2)["curve"]
    assert found["2"]["difference"][1] > 3.0
    mine, theirs = (found["1"][world] - found["2"][world] for world in ("twin", "reference"))
    assert 0.0 <= mine < 0.5 * theirs
