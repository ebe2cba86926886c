"""Is the error of a person's effect what it says it is?"""

import dataclasses

import numpy as np
import pytest
from tests.deaf_reference import Deaf

from twingym.evaluation.effect import effects
from twingym.scenarios import get
from twingym.twins import people


def test_a_model_without_effects_is_wrong_by_each_whole_effect():
    scenario = get("Glucose-v0")
    doses = {name: scenario.fidelity.doses[name] for name in ("bolus x1", "bolus x0")}
    plan = dataclasses.replace(scenario.fidelity, history=12, effect_steps=24, policy_steps=144, doses=doses)
    ids = people("test", 40)
    right = effects(scenario, plan, scenario.reference(), ids, 3, 2)["bolus x0"]
    assert right["rmse"] == 0.0
    assert right["ratio"] == pytest.approx(1.0)
    assert right["spread"] > 0.0
    deaf = effects(scenario, plan, Deaf(scenario.reference(), 0.0), ids, 3, 2)["bolus x0"]
    assert deaf["effect"] == deaf["correlation"] == 0.0
    assert deaf["rmse"] == pytest.approx(np.hypot(deaf["reference"], deaf["spread"]))
