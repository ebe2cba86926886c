"""Are CRPS, ranks and rank correlations what their definitions say?"""

import numpy as np
import pytest

from twingym.evaluation.policy_values import order
from twingym.evaluation.scores import covered, crps, rank, rank_correlation, skill


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
