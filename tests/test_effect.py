"""Are effects and their errors what they say they are, with the chance of finite futures taken off?"""

import dataclasses

import numpy as np
import pytest
from tests.deaf_reference import Deaf

from twingym.evaluation.fidelity.effect import PersonalEffect, compared, effects
from twingym.evaluation.fidelity.scores import cramer_distance
from twingym.scenarios import get
from twingym.twins import people

FUTURES = 6


def drawn(true, random, head):
    """Futures (S, N) of effects (N,), noisy, from heads that differ by a constant."""
    return true + 0.7 * head[:, None] + 2.0 * random.normal(size=(len(head), len(true)))


def test_the_chance_of_finite_futures_is_taken_off_without_bias():
    random, head = np.random.default_rng(0), np.arange(FUTURES) % 2
    reference = 1.0 + 0.5 * random.normal(size=6_000)
    twin = reference - 0.35 + 0.3 * random.normal(size=6_000)  # heads add 0.35: right on average
    found = compared(
        PersonalEffect.of(drawn(twin, random, head), head),
        PersonalEffect.of(drawn(reference, random, 0 * head), 0 * head),
    )
    assert found["pehe"][0] == pytest.approx(0.3, abs=0.06)  # 1.2 with the chance
    assert found["spread"][0] == pytest.approx(0.5, abs=0.05)
    assert found["correlation"][0] == pytest.approx(0.5 / np.hypot(0.5, 0.3), abs=0.08)  # 0.2 with it
    assert found["ratio"][0] == pytest.approx(1.0, abs=0.03)
    for estimate, low, high in found.values():
        assert low <= estimate <= high
        assert high > low


def test_chance_counts_within_heads_only():
    random, head = np.random.default_rng(1), np.arange(FUTURES) % 2
    errors = [PersonalEffect.of(drawn(np.zeros(500), random, head), head) for _ in range(40)]
    between = np.var([e.mean for e in errors], axis=0).mean()
    assert np.mean([e.chance.mean() for e in errors]) == pytest.approx(between, rel=0.1)


def test_the_cramer_distance_is_nothing_between_like_forecasts_and_grows_with_their_difference():
    random = np.random.default_rng(2)
    a, b = random.normal(size=(2, 5, 20_000))
    assert cramer_distance(a, b).mean() == pytest.approx(0.0, abs=0.01)
    assert cramer_distance(a + 1.0, b).mean() > 0.2
    assert cramer_distance(2.0 * a, b).mean() > 0.05


@pytest.fixture(scope="module")
def glucose():
    scenario = get("Glucose-v0")
    doses = {name: scenario.fidelity.doses[name] for name in ("bolus x1", "bolus x0")}
    return scenario, dataclasses.replace(scenario.fidelity, history=12, effect_steps=24, policy_steps=144, doses=doses)


def test_the_reference_has_the_effects_of_the_reference(glucose):
    scenario, plan = glucose
    found = effects(scenario, plan, scenario.reference(), people("test", 60), 3, 12)
    dose = found["doses"]["bolus x0"]
    assert dose["pehe"][0] < 0.1 * dose["spread"][0]
    assert dose["ratio"][0] == pytest.approx(1.0, abs=0.02)
    assert dose["correlation"][0] > 0.98
    assert dose["course"]["twin"] == pytest.approx(dose["course"]["reference"], abs=1.0)
    assert len(dose["course"]["twin"]) == plan.effect_steps
    assert all(abs(outcome["excess"]) < 0.05 * outcome["crps"] for outcome in found["outcomes"].values())
    assert (found["people"], found["samples"]) == (60, 12)


def test_a_model_without_effects_is_wrong_by_each_whole_effect(glucose):
    scenario, plan = glucose
    deaf = effects(scenario, plan, Deaf(scenario.reference(), 0.0), people("test", 40), 3, 2)
    dose = deaf["doses"]["bolus x0"]
    assert dose["effect"] == dose["correlation"] == [0.0] * 3
    assert dose["pehe"][0] == pytest.approx(np.hypot(dose["reference"][0], dose["spread"][0]))
    assert deaf["outcomes"]["bolus x1"]["excess"] > 1.0
