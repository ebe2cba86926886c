"""Does the calibration block know a right forecast from one that is too sure, and a joint law from its margins?"""

import dataclasses

import numpy as np
import pytest

from twingym.evaluation import ensembles
from twingym.evaluation.calibration import LEVELS, calibration, worst_coverage
from twingym.evaluation.ensembles import Ensembles
from twingym.evaluation.model_fairness import model_fairness
from twingym.evaluation.scores import energy_score
from twingym.scenarios import get
from twingym.twins import people


class Dulled:
    """A reference whose noise is drawn towards the middle: it is too sure of itself."""

    def __init__(self, reference, share):
        self.reference, self.share, self.noise_width = reference, share, reference.noise_width

    def initial(self, cohort, inputs, noise):
        return self.reference.initial(cohort, inputs, noise)

    def step(self, state, action, inputs, noise):
        return self.reference.step(state, action, inputs, 0.5 + self.share * (noise - 0.5))

    def restart(self, state, rows, cohort, inputs, noise):
        return self.reference.restart(state, rows, cohort, inputs, noise)

    def take(self, state, rows):
        return self.reference.take(state, rows)


@pytest.fixture(scope="module")
def glucose():
    scenario = get("Glucose-v0")
    return scenario, dataclasses.replace(scenario.fidelity, history=12, horizons={"20 minutes": 4})


def test_the_reference_is_calibrated_against_itself_for_everybody_and_each_group(glucose):
    scenario, plan = glucose
    block = calibration(scenario, plan, scenario.reference(), people("test", 800), 3, 20)
    everybody, groups = worst_coverage(block, "cgm")
    assert everybody < 0.05
    assert groups < 0.09
    for found in block["variables"]["cgm"].values():
        assert found["ks_p"] > 0.001
        assert found["pce"] < 0.03
        assert found["variance_ratio"] == pytest.approx(1.0, abs=0.15)
        assert list(found["coverage"]) == [str(level) for level in LEVELS]
        assert all(low <= share <= high for share, low, high in found["coverage"].values())
    assert set(block["energy"]) == set(block["pit"]) == {"1", "2", "4", "8", "16", "32"}
    assert sum(block["pit"]["8"]) == pytest.approx(1.0)
    for levels in block["groups"].values():
        everybody = np.sum([np.multiply(g["8"]["pit"], g["8"]["people"]) for g in levels.values()], axis=0)
        np.testing.assert_allclose(everybody, np.multiply(block["pit"]["8"], block["variables"]["cgm"]["8"]["people"]))


def test_a_world_that_is_too_sure_is_found_out(glucose):
    scenario, plan = glucose
    right = calibration(scenario, plan, scenario.reference(), people("test", 300), 3, 20)
    sure = calibration(scenario, plan, Dulled(scenario.reference(), 0.3), people("test", 300), 3, 20)
    found, share = sure["variables"]["cgm"]["4"], sure["variables"]["cgm"]["4"]["coverage"]["0.9"][0]
    assert share < 0.8
    assert found["ks_p"] < 0.001
    assert found["crps"] > right["variables"]["cgm"]["4"]["crps"]
    assert worst_coverage(sure, "cgm")[0] > 0.1


def test_the_energy_score_sees_how_variables_go_together():
    random = np.random.default_rng(0)
    mixing = np.array([[1.0, 0.0], [0.9, np.sqrt(1.0 - 0.81)]])
    truth = random.normal(size=(4000, 2)) @ mixing.T
    right = random.normal(size=(20, 4000, 2)) @ mixing.T
    margins = random.normal(size=(20, 4000, 2))  # each variable right, their correlation lost
    assert energy_score(right, truth).mean() < energy_score(margins, truth).mean() - 0.01


def test_a_group_that_the_model_serves_worse_is_named(glucose):
    scenario, plan = glucose
    plan = dataclasses.replace(plan, policy_steps=24)
    block = calibration(scenario, plan, scenario.reference(), people("test", 700), 3, 10)
    same = model_fairness(scenario, plan, scenario.reference(), people("test", 700), 3, block)
    assert same["worst"]["weight_band"]["value"] == 0.0
    for found in block["groups"]["weight_band"]["light"].values():
        found["crps"] *= 3.0
    worse = model_fairness(scenario, plan, Dulled(scenario.reference(), 0.3), people("test", 700), 3, block)
    assert worse["worst"]["weight_band"]["crps"] > 1.0
    value, low, high = worse["value_error"]["weight_band"]["light"]
    assert low < value < high


def test_ensembles_are_the_same_however_many_are_drawn_at_a_time(glucose, monkeypatch):
    scenario, plan = glucose
    ids, world = people("test", 30), scenario.reference()
    whole = Ensembles.draw(scenario, plan, world, ids, 3, 4, (1, 6))
    monkeypatch.setattr(ensembles, "AT_ONCE", 50)
    shards = Ensembles.draw(scenario, plan, world, ids, 3, 4, (1, 6))
    assert len(whole) == len(shards) == 30
    for step in (1, 6):
        np.testing.assert_array_equal(shards.futures[step], whole.futures[step])
        np.testing.assert_array_equal(shards.truth[step], whole.truth[step])
    assert whole.futures[6].shape == (4, 30, 1)


def test_totals_add_up_since_the_forecast_began():
    scenario = get("Retention-v0")
    drawn = Ensembles.draw(scenario, scenario.fidelity, scenario.reference(), people("test", 40), 3, 3, (1, 2, 3))
    k = drawn.names.index("purchases")
    weekly = np.diff(np.stack([drawn.futures[step][..., k] for step in (1, 2, 3)]), axis=0)
    assert (weekly >= 0.0).all()
    spend = drawn.names.index("spend")  # dollars are not totalled: they are above 0 in the weeks of a purchase
    np.testing.assert_array_equal(drawn.futures[2][..., spend] > 0.0, weekly[0] > 0.0)
