"""Is somebody whom the model fits left alone, and somebody who has changed found?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from twingym.twins.drift import DriftTest
from twingym.twins.errors import SpecError


def watched(values: np.ndarray, alpha: float = 0.05) -> DriftTest:
    """Watch courses (T, N) that the model takes for standard normal."""
    test = DriftTest(values.shape[1], alpha)
    for row in values:
        test.add(ndtr(row))
    return test


def test_false_alarms_stay_below_alpha_however_long_one_looks():
    values = np.random.default_rng(0).standard_normal((300, 1000))
    for alpha in (0.05, 0.2):
        assert watched(values, alpha).alarmed.mean() <= alpha


@pytest.mark.slow
def test_false_alarms_stay_below_alpha_for_thousands_of_steps():
    values = np.random.default_rng(1).standard_normal((4000, 5000))
    assert 0.001 < watched(values).alarmed.mean() <= 0.05


@pytest.mark.parametrize("change", [lambda v: v + 0.7, lambda v: v - 0.7, lambda v: 2.0 * v, lambda v: 0.5 * v])
def test_a_change_is_found_soon_after_it(change):
    values = np.random.default_rng(2).standard_normal((200, 400))
    values[50:] = change(values[50:])
    found = watched(values)
    assert found.alarmed.mean() > 0.9
    assert np.median(found.alarm[found.alarmed]) < 140


def test_capital_is_fair_and_missing_readings_cost_nothing():
    grid = (np.arange(4000) + 0.5) / 4000
    test = DriftTest(len(grid))
    test.add(grid)
    assert test.evidence.mean() == pytest.approx(1.0, abs=1e-6)
    before = test.evidence
    test.add(np.full(len(grid), np.nan))
    np.testing.assert_array_equal(test.evidence, before)


def test_impossible_numbers_are_refused():
    with pytest.raises(SpecError, match=r"alpha is 1.0; allowed: a chance"):
        DriftTest(1, 1.0)
    with pytest.raises(SpecError, match="numbers from 0 to 1"):
        DriftTest(2).add(np.array([0.5, 1.5]))


def test_evidence_stays_a_number_however_long_the_model_is_wrong():
    with np.errstate(over="raise"):
        found = watched(np.full((3000, 1), 8.0))
    assert 1e290 < found.evidence[0] < np.inf
    assert found.alarmed[0]
