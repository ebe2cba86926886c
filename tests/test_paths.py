"""Are path events counted as they should be, and does a world that jitters less betray itself by them?"""

import dataclasses

import numpy as np
import pytest

from twingym.evaluation.fidelity.paths import measured, path_events, regions
from twingym.scenarios import get
from twingym.twins import people


def test_spells_are_counted_timed_and_measured():
    inside = np.array([[[0, 1, 1, 0, 0, 1]], [[0, 0, 0, 0, 0, 0]]], dtype=bool)  # two futures of one person
    found = measured(inside, dt=5.0)
    assert found["share"] == 0.5
    assert found["first"] == (10.0 + 30.0) / 2
    assert found["spells"] == 1.0
    assert found["time"] == 7.5
    np.testing.assert_array_equal(found["run"], [10.0, 5.0])


class Still:
    """A reference without luck: every step is a median step."""

    def __init__(self, reference):
        self.reference, self.noise_width = reference, reference.noise_width

    def __getattr__(self, name):
        return getattr(self.reference, name)

    def step(self, state, action, inputs, noise):
        return self.reference.step(state, action, inputs, np.full_like(noise, 0.5))


@pytest.fixture(scope="module")
def glucose():
    scenario = get("Glucose-v0")
    return scenario, dataclasses.replace(scenario.fidelity, history=12)


def test_the_reference_has_the_paths_of_the_reference(glucose):
    scenario, plan = glucose
    found = path_events(scenario, plan, scenario.reference(), people("test", 40), 3, 3, 96)
    assert set(found["events"]) == {"cgm below 70 mg/dL", "cgm above 180 mg/dL"}
    for event in found["events"].values():
        assert all(event[measure]["difference"] == [0.0] * 3 for measure in ("share", "first", "spells", "time"))
        assert event["run"]["distance"] == 0.0
    assert 0.0 < found["events"]["cgm above 180 mg/dL"]["share"]["reference"] <= 1.0


def test_courses_without_luck_cross_thresholds_less_often(glucose):
    scenario, plan = glucose
    event = path_events(scenario, plan, Still(scenario.reference()), people("test", 80), 3, 3, 96)["events"]
    _, low, high = event["cgm above 180 mg/dL"]["spells"]["difference"]
    assert low < high < 0.0
    assert event["cgm above 180 mg/dL"]["run"]["distance"] > 0.0


def test_customers_are_watched_for_purchases_and_consent():
    scenario = get("Retention-v0")
    recorded = {"purchases": np.zeros((2, 3)), "consent": np.ones((2, 3)), "spend": np.zeros((2, 3))}
    assert [region.label for region in regions(scenario, scenario.fidelity, recorded)] == [
        "any purchases",
        "no consent",
    ]
