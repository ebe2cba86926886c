"""Are CRPS, ranks and rank correlations what their definitions say?"""

from dataclasses import replace

import numpy as np
import pytest

from twingym.envs import RulePolicy
from twingym.evaluation import evaluate
from twingym.evaluation.fidelity.policy_values import by_group, order, policy_values
from twingym.evaluation.fidelity.scores import covered, crps, rank, rank_correlation, skill
from twingym.scenarios import get
from twingym.twins import people


def test_crps_equals_its_definition_and_ignores_ended_samples():
    random = np.random.default_rng(0)
    samples, truth = random.normal(size=(7, 4)), random.normal(size=4)
    pairs = np.abs(samples[:, None] - samples[None]).sum(axis=(0, 1)) / (7 * 6)
    np.testing.assert_allclose(crps(samples, truth), np.abs(samples - truth).mean(axis=0) - 0.5 * pairs)
    ended = np.concatenate([samples, np.full((3, 4), np.nan)])
    np.testing.assert_allclose(crps(ended, truth), crps(samples, truth))


def test_ranks_of_a_right_forecast_are_uniform_and_of_a_narrow_one_are_not():
    random = np.random.default_rng(1)
    truth, tie = random.normal(size=4000), random.random(4000)
    right = rank(random.normal(size=(20, 4000)), truth, tie)
    assert covered(right, 0.9) == pytest.approx(0.9, abs=0.015)
    assert covered(rank(0.5 * random.normal(size=(20, 4000)), truth, tie), 0.9) < 0.7


def test_ranks_break_ties_evenly_for_counts():
    random = np.random.default_rng(2)
    counts = rank(random.poisson(0.3, size=(30, 4000)), random.poisson(0.3, size=4000), random.random(4000))
    assert covered(counts, 0.9) == pytest.approx(0.9, abs=0.015)
    assert np.quantile(counts, 0.5) == pytest.approx(0.5, abs=0.03)


def test_skill_is_one_minus_the_ratio():
    score, baseline = np.array([1.0, 2.0, 3.0]), np.array([4.0, 4.0, 4.0])
    estimate, low, high = skill(score, baseline)
    assert estimate == pytest.approx(0.5)
    assert low <= estimate <= high


def test_what_does_not_vary_ranks_nobody():
    """Heads of an ensemble may agree about everybody; resamples of few people often do."""
    assert rank_correlation(np.zeros(20), np.arange(20.0)) == (0.0, 0.0, 0.0)
    nearly = np.zeros(20)
    nearly[0] = 1.0
    assert np.isfinite(rank_correlation(nearly, np.arange(20.0))).all()


def test_rank_correlation_sees_order_only():
    a = np.arange(50.0)
    assert rank_correlation(a, np.exp(a / 10))[0] == pytest.approx(1.0)
    assert rank_correlation(a, -(a**3))[0] == pytest.approx(-1.0)


def test_order_counts_resolved_pairs_only():
    random = np.random.default_rng(3)
    person = random.normal(size=200)
    worlds = {name: person + shift for name, shift in (("a", 0.0), ("b", 1.0), ("c", 2.0), ("d", 2.0))}
    worlds["d"] = worlds["d"] + random.normal(size=200)  # not told apart from c
    swapped = {**worlds, "a": worlds["b"], "b": worlds["a"]}
    assert order(worlds, worlds)["tau"] == 1.0
    assert order(worlds, worlds)["regret"] == 0.0
    found = order(swapped, worlds)
    assert found["pairs"] == 5
    assert found["tau"] == pytest.approx(1 - 2 / 5)
    assert found["worst"] == pytest.approx(1.0)


def test_groups_of_a_few_people_are_not_compared():
    values = {"only": np.arange(25.0)}
    found = by_group(values, values, np.array(["many"] * 20 + ["few"] * 5))
    assert found["people"] == {"many": 20}
    assert found["gaps"] is found["worst"] is None
    assert found["errors"]["only"] == {"many": [0.0, 0.0, 0.0]}


def test_values_are_the_first_policys_on_many_people_plus_paired_differences():
    scenario = get("Retention-v0")
    plan = replace(scenario.fidelity, policies={"none": ("never", {}), "all": ("blanket", {})}, policy_steps=10)
    few, many = people("test", 300), people("test", 3000)

    def returns(rule, who):
        policy = RulePolicy(scenario, rule)
        return evaluate(policy, scenario, who, (0,), "reference", horizon=10).episodes["return"].to_numpy()

    none, everybody, anchor = returns("never", few), returns("blanket", few), returns("never", many)
    plain = policy_values(scenario, plan, scenario.reference(), {}, few, [0])["values"]
    assert plain["all"][:2] == [pytest.approx(everybody.mean())] * 2
    assert plain["all"][2] == pytest.approx(everybody.std(ddof=1) / 300**0.5)
    found = policy_values(scenario, plan, scenario.reference(), {}, few, [0], many)["values"]
    assert found["none"][:2] == [pytest.approx(anchor.mean())] * 2
    assert found["none"][2] == pytest.approx(anchor.std(ddof=1) / 3000**0.5)
    assert found["all"][1] == pytest.approx(anchor.mean() + (everybody - none).mean())
    assert found["none"][2] < found["all"][2] < plain["all"][2]
