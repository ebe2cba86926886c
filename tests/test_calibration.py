"""Does the calibration block know a right forecast from one that is too sure, and a joint law from its margins?"""

import dataclasses

import numpy as np
import pytest

from twingym.evaluation.fidelity import ensembles
from twingym.evaluation.fidelity.calibration import LEVELS, calibration, worst_coverage
from twingym.evaluation.fidelity.ensembles import Ensembles
from twingym.evaluation.fidelity.model_fairness import model_fairness
from twingym.evaluation.fidelity.policy_values import by_group
from twingym.evaluation.fidelity.recalibration_gain import recalibration_gain, weighted_crps
from twingym.evaluation.fidelity.scores import crps, energy_score
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
    ids = people("test", 700)
    block = calibration(scenario, plan, scenario.reference(), ids, 3, 10)
    traits = scenario.people.sample(ids).traits
    labels = {name: np.array(levels)[traits[name].astype(int)] for name, levels in scenario.group_levels.items()}
    random = np.random.default_rng(1)
    theirs = {name: random.normal(size=700) for name in ("mild", "bold")}
    mine = {name: values + 0.1 * random.normal(size=700) for name, values in theirs.items()}
    mine["bold"] += 0.5 * (labels["weight_band"] == "light")
    valued = {"groups": {name: by_group(mine, theirs, of) for name, of in labels.items()}}
    for found in block["groups"]["weight_band"]["light"].values():
        found["crps"] *= 3.0
    found = model_fairness(block, valued)
    assert found["weight_band"]["crps"]["gap"] > 1.0 > found["sensitivity_band"]["crps"]["gap"]
    assert found["weight_band"]["value"]["policy"] == "bold"
    gap, low, high = found["weight_band"]["value"]["gap"]
    assert 0.4 < low < gap < high < 0.6
    assert valued["groups"]["weight_band"]["gaps"]["mild"][1] < 0.02  # nothing but chance
    assert valued["groups"]["weight_band"]["errors"]["bold"]["light"][0] == pytest.approx(0.5, abs=0.03)
    assert sum(valued["groups"]["weight_band"]["people"].values()) == 700


def test_recalibration_gains_where_a_world_is_too_sure_and_not_where_it_is_right(glucose):
    scenario, plan = glucose
    ids, learners, levels = people("test", 500), people("validation", 500), (0.5, 0.9)

    def gain(world):
        judged, learned = (Ensembles.draw(scenario, plan, world, who, 3, 20, (2, 4)) for who in (ids, learners))
        return recalibration_gain(judged, learned, "cgm", levels, 3)["4"]

    right, sure = gain(scenario.reference()), gain(Dulled(scenario.reference(), 0.3))
    assert abs(right["crps"]) < 0.01
    assert sure["coverage"][1] < 0.5 * sure["coverage"][0]
    assert sure["pce"][1] < 0.5 * sure["pce"][0]


def test_with_equal_masses_the_weighted_score_is_the_crps():
    random = np.random.default_rng(4)
    samples, truth = random.normal(size=(7, 30)), random.normal(size=30)
    np.testing.assert_allclose(weighted_crps(samples, truth, np.full(7, 1.0 / 7)), crps(samples, truth))


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
