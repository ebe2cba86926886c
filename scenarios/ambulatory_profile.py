"""What does a course of sensor glucose say to a clinician: the usual day, the lows, and how much it swings?

Definitions: Battelino et al. 2019 (Diabetes Care 42:1593) and Danne et al. 2017 (Diabetes Care 40:1631), the
international consensus on continuous glucose monitoring. All functions take sensor glucose ``cgm`` in mg/dL, shape
(N, T), one reading every five minutes from midnight; readings after the end of an episode are NaN.
"""

from __future__ import annotations

import numpy as np

from twingym.scenarios.meals import STEP_MINUTES, STEPS_PER_DAY
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

PERCENTILES = (5.0, 25.0, 50.0, 75.0, 95.0)
EVENT_READINGS = 15 // STEP_MINUTES  # a low begins, and ends, with 15 minutes of readings
WEEK_MINUTES = 7 * 24 * 60


def ambulatory_profile(cgm: Floats, minutes: int = STEP_MINUTES) -> Floats:
    """Return percentiles 5, 25, 50, 75 and 95 of all people and days by time of day, shape (5, K), mg/dL.

    Args:
        cgm: Shape (N, T).
        minutes: Width of a bin of the day; K is a day divided by it.

    Raises:
        SpecError: If the bins do not divide a day into whole readings.
    """
    readings = minutes // STEP_MINUTES
    if minutes <= 0 or minutes % STEP_MINUTES or STEPS_PER_DAY % readings:
        raise SpecError(
            f"minutes is {minutes}; allowed: multiples of {STEP_MINUTES} min that divide a day, such as 15."
        )
    people, length = cgm.shape
    days = -(-length // STEPS_PER_DAY)
    padded = np.full((people, days * STEPS_PER_DAY), np.nan)
    padded[:, :length] = cgm
    by_bin = np.moveaxis(padded.reshape(people, days, -1, readings), 2, 0).reshape(STEPS_PER_DAY // readings, -1)
    profile = np.full((len(PERCENTILES), len(by_bin)), np.nan)
    known = ~np.isnan(by_bin).all(axis=1)
    if known.any():
        profile[:, known] = np.nanpercentile(by_bin[known], PERCENTILES, axis=1)
    return profile


def lows(cgm: Floats, below: float = 70.0) -> Floats:
    """Count each person's lows, shape (N,).

    A low begins with 15 minutes (three readings) below ``below`` mg/dL and ends with 15 minutes at or above it; a
    shorter rise belongs to the same low. A missing reading interrupts both counts.
    """
    people = len(cgm)
    count, under, over = np.zeros(people), np.zeros(people), np.zeros(people)
    during = np.zeros(people, bool)
    for reading in cgm.T:
        under = np.where(reading < below, under + 1.0, 0.0)
        over = np.where(reading >= below, over + 1.0, 0.0)
        begins = ~during & (under >= EVENT_READINGS)
        count += begins
        during = (during | begins) & (over < EVENT_READINGS)
    return count


def lows_per_week(cgm: Floats, below: float = 70.0) -> Floats:
    """Return each person's lows of 15 minutes or more per week of readings, shape (N,); NaN without readings."""
    weeks = np.isfinite(cgm).sum(axis=1) * STEP_MINUTES / WEEK_MINUTES
    return np.where(weeks > 0.0, lows(cgm, below) / np.maximum(weeks, 1e-12), np.nan)


def coefficient_of_variation(cgm: Floats) -> Floats:
    """Return each person's standard deviation over mean, shape (N,), as a share; the consensus asks for below 0.36."""
    return np.asarray(np.nanstd(cgm, axis=1) / np.nanmean(cgm, axis=1))
