"""Does the likelihood tell a model that was fitted to these people's world from one that was not?"""

import dataclasses

import pytest

from twingym.evaluation.fidelity.likelihood import likelihood
from twingym.scenarios import get
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel, people
from twingym.twins.network import TwinNetwork


@pytest.mark.parametrize("name", ["Glucose-v0", "Retention-v0"])
def test_a_fitted_model_beats_the_naive_forecast_and_an_untrained_one_does_not(name):
    scenario = get(name)
    plan = scenario.fidelity
    model = TwinModel.load(weights_folder(scenario), scenario.world_fingerprint())
    blank = dataclasses.replace(model, network=TwinNetwork.untrained(model.spec, model.network.config).eval())
    ids = people("test", 120)
    fitted, untrained = (likelihood(scenario, plan, m, ids, 3)[plan.variable] for m in (model, blank))
    value, low, high = fitted["nll"]
    assert low < value < high
    assert value < fitted["naive"]
    assert value < untrained["nll"][0]
    assert fitted["naive"] == untrained["naive"]
