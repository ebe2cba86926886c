"""Are bounds what the textbooks say where the textbooks say something?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from twingym.evaluation.bounds import gap_of, holm, mean_of, over_training, share_of, tail_of
from twingym.evaluation.resampling import bootstrap, groups_of, max_gap, null_p

GENERATOR = np.random.default_rng(1)
SKEWED = np.where(GENERATOR.random(300) < 0.4, GENERATOR.gamma(0.5, 2.0, 300), 0.0)


def test_a_symmetric_sample_gets_students_bound() -> None:
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]) + 7.0
    reach = student.ppf(0.95, 4) * values.std(ddof=1) / np.sqrt(5)
    estimate = mean_of(values)
    assert estimate.value == pytest.approx(7.0)
    assert estimate.upper(0.95) == pytest.approx(7.0 + reach)
    assert estimate.lower(0.95) == pytest.approx(7.0 - reach)


def test_a_long_tail_on_the_right_moves_both_bounds_to_the_right() -> None:
    n, error = len(SKEWED), SKEWED.std(ddof=1) / np.sqrt(len(SKEWED))
    reach = student.ppf(0.95, n - 1) * error
    estimate = mean_of(SKEWED)
    assert estimate.upper(0.95) > SKEWED.mean() + 1.05 * reach
    assert estimate.lower(0.95) > SKEWED.mean() - 0.95 * reach


def test_the_upper_bound_of_a_cost_counts_one_more_person_as_bad_as_the_worst() -> None:
    assert mean_of(SKEWED, cost=True).upper(0.95) == mean_of(np.append(SKEWED, SKEWED.max())).upper(0.95)
    assert mean_of(SKEWED, cost=True).lower(0.95) == mean_of(SKEWED).lower(0.95)


def test_costs_of_0_and_1_are_exact_and_nobody_affected_is_not_certainty() -> None:
    exact = binomtest(3, 200).proportion_ci(0.90, method="exact")
    costs = np.array([1.0] * 3 + [0.0] * 197)
    for estimate in (share_of(costs), mean_of(costs, cost=True)):
        assert estimate.value == pytest.approx(0.015)
        assert estimate.lower(0.95) == pytest.approx(exact.low)
        assert estimate.upper(0.95) == pytest.approx(exact.high)
    nobody = mean_of(np.zeros(500), cost=True)
    assert (nobody.value, nobody.lower(0.95)) == (0.0, 0.0)
    assert nobody.upper(0.95) == pytest.approx(1.0 - 0.05 ** (1 / 500))


def test_the_worst_tenth_of_1_to_20_is_19_and_a_half() -> None:
    estimate = tail_of(np.arange(1.0, 21.0)[:, None], 0.1)
    assert estimate.value == pytest.approx(19.5)
    assert estimate.upper(0.95) > 19.5


def test_a_tail_is_over_episodes_but_its_unit_is_the_person() -> None:
    costs = np.arange(1.0, 21.0)[:, None]
    twice = tail_of(np.repeat(costs, 2, axis=1), 0.1)
    assert twice.value == pytest.approx(19.5)
    assert twice.upper(0.95) == pytest.approx(tail_of(costs, 0.1).upper(0.95))


def test_p_values_and_bounds_tell_the_same_story() -> None:
    groups = list(groups_of(np.arange(300) % 3).values())
    values = SKEWED + (np.arange(300) % 3 == 0)
    for estimate in (mean_of(values, cost=True), share_of(np.minimum(values, 1.0)), tail_of(values[:, None], 0.1)):
        assert estimate.p_above(estimate.lower(0.95)) == pytest.approx(0.05, abs=1e-6)
        assert estimate.p_above(2 * estimate.value) > 0.5
    gap = gap_of(values, groups, cost=True)
    assert gap.p_above(gap.lower(0.95) - 1e-9) <= 0.05 < gap.p_above(gap.lower(0.95) + 1e-9) + 1e-3


def test_one_person_says_nothing_about_others() -> None:
    estimate = mean_of(np.array([2.5]), cost=True)
    assert estimate.value == 2.5
    assert mean_of(np.array([2.5])).upper(0.95) == np.inf
    assert mean_of(np.array([2.5])).lower(0.95) == -np.inf


def test_what_is_not_known_stays_unknown() -> None:
    estimate = mean_of(np.array([1.0, np.nan]))
    assert np.isnan(estimate.value)
    assert (estimate.lower(0.95), estimate.upper(0.95)) == (-np.inf, np.inf)
    assert np.isnan(estimate.p_above(0.0))


def test_a_gap_is_greatest_minus_least_mean() -> None:
    values = np.array([1.0, 3.0, 5.0, 7.0, 2.0, 2.0])
    groups = list(groups_of(["a", "a", "b", "b", "c", "c"]).values())
    assert gap_of(values, groups).value == pytest.approx(4.0)


def test_like_groups_have_a_null_gap_and_unlike_ones_do_not() -> None:
    labels = np.repeat(["a", "b", "c"], 100)
    alike = np.tile(SKEWED[:100], 3)  # the same hundred people in each group
    groups = list(groups_of(labels).values())
    gap = gap_of(alike, groups, cost=True)
    assert gap.value == pytest.approx(0.0, abs=1e-12)
    assert gap.lower(0.95) == 0.0
    assert null_p(alike[:, None], groups)[0] == pytest.approx(1.0)
    apart = alike + 2.0 * (labels == "c")
    assert gap_of(apart, groups, cost=True).lower(0.95) > 1.0
    assert null_p(apart[:, None], groups)[0] < 0.001


def test_a_gap_of_nothing_seen_is_not_certainty() -> None:
    groups = list(groups_of(np.arange(300) % 3).values())
    gap = gap_of(np.zeros(300), groups, cost=True)
    assert (gap.value, gap.lower(0.95)) == (0.0, 0.0)
    assert gap.upper(0.95) == pytest.approx(1.0 - 0.05 ** (1 / 100))
    assert gap_of(np.zeros(300), groups).upper(0.95) == 0.0  # no cost: everybody is alike


def test_the_null_p_value_is_uniform_when_groups_are_alike() -> None:
    values = np.random.default_rng(3).normal(10.0, 2.0, (400, 200))
    groups = list(groups_of(np.arange(400) % 6).values())
    p = null_p(values, groups, draws=500)
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    gaps = max_gap(np.stack([values[rows].mean(axis=0) for rows in groups]))
    assert gaps.mean() == pytest.approx(0.64, abs=0.05)  # six like groups of 67: the gap is biased up


def test_other_names_for_groups_change_nothing() -> None:
    labels = np.arange(300) % 3
    renamed = np.array(["z", "a", "m"])[labels]
    values = SKEWED[:, None]
    first, other = (list(groups_of(names).values()) for names in (labels, renamed))
    assert gap_of(SKEWED, first).upper(0.95) == gap_of(SKEWED, other).upper(0.95)
    assert null_p(values, first)[0] == null_p(values, other)[0]
    np.testing.assert_array_equal(bootstrap(values, first).values, bootstrap(values, other).values)


def test_a_ratio_of_sums_is_not_a_mean_of_ratios() -> None:
    met, need = np.array([[1.0], [9.0]]), np.array([[2.0], [10.0]])
    drawn = bootstrap(met, [np.arange(2)], need)
    assert drawn.value[0, 0] == pytest.approx(10.0 / 12.0)


def test_resampled_means_have_the_standard_error_of_the_mean() -> None:
    drawn = bootstrap(SKEWED[:, None], [np.arange(300)], draws=4000)
    assert drawn.error[0, 0] == pytest.approx(SKEWED.std(ddof=1) / np.sqrt(300))
    assert drawn.values.std() == pytest.approx(drawn.error[0, 0], rel=0.05)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, np.nan, 0.02]), [0.5, np.nan, 0.04])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])


def test_training_seeds_that_agree_change_nothing_and_those_that_differ_widen_the_bound() -> None:
    one = mean_of(SKEWED, cost=True)
    agreed = over_training([one, one, one])
    assert agreed.upper(0.95) == pytest.approx(one.upper(0.95))
    assert agreed.p_above(0.3) == pytest.approx(one.p_above(0.3), abs=1e-6)
    differing = over_training([mean_of(SKEWED + shift, cost=True) for shift in (-0.3, 0.0, 0.3)])
    assert differing.value == pytest.approx(one.value)
    seeds = student.ppf(0.95, 2) * 0.3 / np.sqrt(3)
    assert differing.upper(0.95) - differing.value > seeds
