"""How much does each recorded step count, if treatment went to those who needed it: inverse propensity weights.

A model that cannot tell everything that treatment depended on takes need for effect. Weighed by what was done over how
likely it was, steps look as if treatment had been given without regard to the person. A model that can tell needs none
of this, and pays in variance.

Weights are stabilised: their numerator is the chance of the treatment over all people. It needs no model, since the
mean of 1 / p(a | history) over the steps with treatment a is 1 / p(a). Sources: Robins, Hernán & Brumback 2000,
Epidemiology 11:550; for networks Lim, Alaa & van der Schaar 2018, "Forecasting treatment responses over time using
recurrent marginal structural networks", NeurIPS.

Legend of shapes: N = people, T = steps, A = interventions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

DOSES = 8  # groups of like amounts of one intervention
CLIP = (1.0, 99.0)  # percentiles


def propensity_weights(courses: Courses, steps: int) -> Floats:
    """Return the weight of each observation, (N, T + 1), 1 on average over those after a step; 1 at birth.

    Args:
        courses: Recorded courses with the propensities of what was delivered.
        steps: Over how many steps, up to the one that led to the observation, weights are multiplied. More remove more
            of what treatment depended on, and vary more.

    Raises:
        SpecError: If a propensity of a step that was made is missing, or ``steps`` is not positive.
    """
    if steps < 1:
        raise SpecError(f"propensity_weighting is {steps}; allowed: 1 step or more, or 0 for no weights.")
    made = np.arange(courses.propensity.shape[1]) < courses.length[:, None]  # (N, T)
    unknown = made & ~np.isfinite(courses.propensity)
    if unknown.any():
        row, step = np.argwhere(unknown)[0]
        raise SpecError(
            f"propensity_weighting: {int(unknown.sum())} of {int(made.sum())} steps have no propensity, the first that "
            f"of person {courses.ids[row]} at step {step}. Record courses with `collect` and no hard constraint that "
            "changes amounts, or set propensity_weighting to 0."
        )
    inverse = np.exp(-courses.propensity[made])
    group = _like(courses.delivered[made])
    mean = np.bincount(group, inverse) / np.bincount(group)
    log_weight = np.zeros(made.shape)
    log_weight[made] = np.log(inverse / mean[group])
    before = np.concatenate([np.zeros((len(courses), 1)), log_weight.cumsum(axis=1)], axis=1)  # (N, T + 1)
    first = np.maximum(np.arange(before.shape[1]) - steps, 0)
    weight: Floats = np.exp(before - before[:, first])
    counted = weight[:, 1:][made]
    low, high = np.percentile(counted, CLIP)
    weight[:, 1:] = np.where(made, weight[:, 1:].clip(low, high) / counted.clip(low, high).mean(), 1.0)
    return weight


def _like(delivered: Floats) -> NDArray[np.intp]:
    """Number the groups of steps with like treatment, (S, A) to (S,): same levels, amounts of the same size."""
    groups = []
    for amounts in delivered.T:
        values = np.unique(amounts)
        if len(values) > DOSES:  # an amount that is common, such as none at all, is several quantiles at once
            values = np.unique(np.quantile(amounts, np.linspace(0.0, 1.0, DOSES + 1)[:-1]))
        groups.append(np.searchsorted(values, amounts, side="right"))
    return np.unique(np.stack(groups, axis=1), axis=0, return_inverse=True)[1].ravel()
