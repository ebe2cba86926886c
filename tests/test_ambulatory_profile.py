"""Does the usual day pool people and days by time of day?"""

from __future__ import annotations

import numpy as np
import pytest

from twingym.scenarios.glucose.ambulatory_profile import ambulatory_profile
from twingym.scenarios.glucose.meals import STEPS_PER_DAY
from twingym.twins.errors import SpecError


def test_the_profile_pools_people_and_days_by_time_of_day() -> None:
    rng = np.random.default_rng(0)
    readings = rng.uniform(60.0, 250.0, (6, 3 * STEPS_PER_DAY + 1))  # as evaluations keep it: with the first reading
    profile = ambulatory_profile(readings)
    assert profile.shape == (5, STEPS_PER_DAY)
    noon = readings[:, STEPS_PER_DAY // 2 : 3 * STEPS_PER_DAY : STEPS_PER_DAY]
    np.testing.assert_allclose(profile[:, STEPS_PER_DAY // 2], np.percentile(noon, [5, 25, 50, 75, 95]))
    assert (np.diff(profile, axis=0) >= 0.0).all()
    quarter = ambulatory_profile(readings, minutes=15)
    assert quarter.shape == (5, 96)
    first = readings[:, : 3 * STEPS_PER_DAY].reshape(6, 3, 96, 3)[:, :, 1]
    np.testing.assert_allclose(quarter[2, 1], np.median(first))


def test_the_profile_leaves_out_what_was_not_measured() -> None:
    readings = np.full((2, STEPS_PER_DAY), np.nan)
    readings[0, :10], readings[1, :20] = 100.0, 200.0
    profile = ambulatory_profile(readings)
    assert (profile[2, :10] == 150.0).all()
    assert (profile[:, 10:20] == 200.0).all()
    assert np.isnan(profile[:, 20:]).all()
    with pytest.raises(SpecError, match="minutes is 7"):
        ambulatory_profile(readings, minutes=7)
