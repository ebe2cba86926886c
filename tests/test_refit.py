"""Does a model learn from what came back, on people it has not met, and is nothing replaced?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twingym.envs.behaviour import collect
from twingym.scenarios import get
from twingym.twins import FitConfig, TwinModel
from twingym.twins.errors import SpecError
from twingym.twins.network import TwinNetwork
from twingym.twins.refit import refit
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=1, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)
NUDGE = str(Path(__file__).parent / "nudge_scenario.py")


@pytest.fixture(scope="module")
def scenario():
    return get(NUDGE)


@pytest.fixture(scope="module")
def courses(scenario):
    return collect(scenario, np.arange(100), 0)


def test_a_model_gets_better_on_people_it_has_not_met(scenario, courses):
    model = TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})
    weights = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = refit(model, courses, FitConfig(epochs=2, batches=12, batch_tokens=1024))
    assert found.better
    assert "Gain" in found.card()
    assert "better" in found.card()
    assert all((value == weights[name]).all() for name, value in found.before.network.state_dict().items())
    again = refit(found.after, courses, FitConfig(epochs=1, batches=1, batch_tokens=1024, learning_rate=1e-9))
    assert abs(again.gain[0]) < 0.05
    np.testing.assert_allclose(again.loss[0], found.loss[1], rtol=1e-5)


def test_without_held_out_people_nothing_is_learned(scenario, courses):
    model = TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})
    with pytest.raises(SpecError, match="0 people of the test split"):
        refit(model, courses, view=lambda ids: ids < 0)
