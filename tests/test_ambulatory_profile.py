"""Do the clinical reports count and summarise as the consensus says, on courses made by hand?"""

from __future__ import annotations

import numpy as np
import pytest

from twingym.scenarios import get, hovorka, units
from twingym.scenarios.glucose_reports import ambulatory_profile, coefficient_of_variation, lows, lows_per_week
from twingym.scenarios.meals import STEPS_PER_DAY
from twingym.twins.errors import SpecError, UnknownNameError

WEEK = 7 * STEPS_PER_DAY


def course(*pieces: tuple[float, int]) -> np.ndarray:
    """One person's readings: values, each for so many readings."""
    return np.concatenate([np.full(count, float(value)) for value, count in pieces])[None, :]


@pytest.mark.parametrize(
    ("pieces", "count"),
    [
        ([(100, 50)], 0),
        ([(100, 5), (69, 2), (100, 5)], 0),  # 10 minutes
        ([(100, 5), (69, 3), (100, 5)], 1),  # 15 minutes
        ([(100, 5), (70, 9), (100, 5)], 0),  # at the limit is not below it
        ([(69, 3), (100, 2), (69, 3), (100, 5)], 1),  # a rise of 10 minutes belongs to the low
        ([(69, 3), (100, 3), (69, 3), (100, 5)], 2),  # one of 15 minutes ends it
        ([(69, 3), (100, 3), (69, 2), (100, 5)], 1),
        ([(69, 2), (100, 1), (69, 2), (100, 5)], 0),
        ([(69, 40)], 1),  # still going on
        ([(69, 2), (np.nan, 1), (69, 2)], 0),
        ([(69, 3), (100, 2), (np.nan, 1), (100, 2), (69, 3)], 1),
    ],
)
def test_lows_last_fifteen_minutes_and_end_after_fifteen(pieces: list[tuple[float, int]], count: int) -> None:
    assert lows(course(*pieces)) == count


def test_lows_are_counted_per_person_and_level() -> None:
    readings = np.concatenate([course((100, 10), (60, 5), (100, 5)), course((100, 10), (50, 5), (100, 5))])
    np.testing.assert_array_equal(lows(readings), [1, 1])
    np.testing.assert_array_equal(lows(readings, below=54.0), [0, 1])


def test_lows_per_week_counts_the_readings_that_exist() -> None:
    whole = course((60, 3), (100, WEEK - 3))
    half = course((60, 3), (100, WEEK // 2 - 3), (np.nan, WEEK // 2))
    none = course((np.nan, WEEK))
    rates = lows_per_week(np.concatenate([whole, half, none]))
    np.testing.assert_allclose(rates, [1.0, 2.0, np.nan])


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


def test_variation_is_spread_over_mean() -> None:
    readings = np.concatenate([course((100, 4)), course((50, 2), (150, 2)), course((50, 1), (150, 1), (np.nan, 2))])
    np.testing.assert_allclose(coefficient_of_variation(readings), [0.0, 0.5, 0.5])


def test_glucose_is_shown_in_mmol_on_request() -> None:
    assert units.factor("mg/dL", "mmol/L") * hovorka.MG_PER_MMOL == 1.0
    np.testing.assert_allclose(units.convert(np.array([70.0, 180.0]), "mg/dL", "mmol/L"), [3.8889, 10.0], atol=1e-4)
    np.testing.assert_allclose(units.convert(units.convert(123.0, "mg/dL", "mmol/L"), "mmol/L", "mg/dL"), 123.0)
    cgm = get("Glucose-v0").variable("cgm")
    shown = units.in_unit(cgm, "mmol/L")
    assert (shown.unit, shown.label()) == ("mmol/L", "cgm (mmol/L)")
    np.testing.assert_allclose([shown.low, shown.high, shown.change], [39 / 18, 600 / 18, 8 / 18])
    readings = np.array([39.0, 70.0, 180.0, 600.0])
    np.testing.assert_allclose(shown.to_unit(units.convert(readings, "mg/dL", "mmol/L")), cgm.to_unit(readings))
    with pytest.raises(UnknownNameError, match="mmol/L"):
        units.in_unit(cgm, "mol/L")
