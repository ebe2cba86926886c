"""What does a clinician see first of sensor glucose: the usual day?

Battelino et al. 2019 (Diabetes Care 42:1593), the international consensus on time in range.
"""

from __future__ import annotations

import numpy as np

from twingym.scenarios.glucose.meals import STEP_MINUTES, STEPS_PER_DAY
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

PERCENTILES = (5.0, 25.0, 50.0, 75.0, 95.0)


def ambulatory_profile(cgm: Floats, minutes: int = STEP_MINUTES) -> Floats:
    """Return percentiles 5, 25, 50, 75 and 95 of all people and days by time of day, shape (5, K), mg/dL.

    Args:
        cgm: Sensor glucose, mg/dL, shape (N, T), every five minutes from midnight; NaN after an episode's end.
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
