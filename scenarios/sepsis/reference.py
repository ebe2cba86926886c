"""Who are the patients with sepsis, and how do they fare: the reference dynamics of Sepsis.

The simulator of Oberst and Sontag 2019, "Counterfactual off-policy evaluation with Gumbel-max structural causal
models" (ICML, arXiv 1905.05824), as its authors maintain it; the numbers stand in ``scenarios/sepsis/tables.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from twingym.scenarios.sepsis.tables import COUNTS, DEADLY, NONE, Constants, abnormal, conditions, tables
from twingym.twins.cohort import Cohort, Population
from twingym.twins.dynamics import ArrayDynamics
from twingym.twins.errors import unknown
from twingym.twins.scales import Floats

DEATH, DISCHARGE, OBSERVED = len(COUNTS), len(COUNTS) + 1, len(COUNTS) + 2  # rows of the state
SEVERITIES = ("one_abnormal", "two_abnormal")


@lru_cache(maxsize=16)
def arrivals(diabetes: float) -> tuple[float, Floats]:
    """Return the share of patients with diabetes, and the chances of vital signs without and with it.

    Nobody arrives dead or well: whoever would is drawn again, diabetes included, so fewer than ``diabetes`` have it.

    Args:
        diabetes: Share of those who are drawn.

    Returns:
        The share of those who arrive, and chances (2, 90) of the vital signs, numbered in declared order.
    """
    c = Constants
    signs = c.arriving_heart_rate, c.arriving_blood_pressure, c.arriving_oxygen
    glucoses = c.arriving_glucose, c.arriving_glucose_diabetic
    by_diabetes = np.stack(
        [np.einsum("h,b,o,g->hbog", *map(np.array, (*signs, glucose))).ravel() for glucose in glucoses]
    )
    count = abnormal(np.indices(COUNTS).reshape(len(COUNTS), -1))
    by_diabetes[:, (count == 0) | (count >= DEADLY)] = 0.0
    without, having = by_diabetes.sum(axis=1) * (1.0 - diabetes, diabetes)
    return float(having / (without + having)), by_diabetes / by_diabetes.sum(axis=1, keepdims=True)


def draw_people(constants: Constants) -> Population:
    """Return the patients that these constants describe; ``diabetes`` may be fixed, severity follows from vital signs.

    Diabetes raises glucose on arrival, and so moves severity. How many vital signs are abnormal on arrival has no
    effect of its own.
    """
    share, chances = arrivals(constants.diabetes)
    edges = np.cumsum(chances, axis=1)[:, :-1]  # (2, 89)

    def draw(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
        diabetes = (numbers[:, 0] < share).astype(np.float64)
        for name, value in fixed.items():
            if name != "diabetes":
                raise unknown("trait that can be fixed", name, ("diabetes",))
            diabetes = np.full(len(numbers), float(value))
        found = np.where(diabetes > 0.0, *(np.searchsorted(e, numbers[:, 1], side="right") for e in edges[::-1]))
        vitals = np.stack(np.unravel_index(found, COUNTS))  # (4, N)
        severity = (abnormal(vitals) - 1).astype(np.float64)
        return {"diabetes": diabetes, "severity": severity}, {"vitals": vitals.T.astype(np.float64)}

    return Population(draw=draw, width=2, seed=2019)


class SepsisReference(ArrayDynamics):
    """Patients whose vital signs follow the tables until they die or, untreated and well, are discharged.

    The action is the number of a combination of treatments. Observed are the levels of heart rate, blood pressure,
    oxygen and glucose, and whether the patient has died or was discharged; after that nothing changes any more. The
    state is one array (8, N): what is observed, the number of the last treatments, and diabetes.
    """

    noise_width = 4

    def __init__(self, constants: Constants) -> None:
        """Prepare for patients under ``constants``."""
        # One column for each level before in each condition: the chances of staying below level 1, 2, ...
        self._upto = [table.reshape(-1, table.shape[-1]).cumsum(axis=1)[:, :-1].T.copy() for table in tables(constants)]

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Begin as patients arrive; see :class:`~twingym.twins.dynamics.Dynamics`."""
        going, untreated = np.zeros((2, len(cohort))), np.full(len(cohort), float(NONE))
        state = np.stack([*cohort.hidden["vitals"].T, *going, untreated, cohort.traits["diabetes"]])
        return state, state[:OBSERVED].T

    def step(self, state: Floats, action: Floats, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Treat for one step; see :class:`~twingym.twins.dynamics.Dynamics`."""
        vitals, diabetes = state[: len(COUNTS)].astype(np.intp), state[-1].astype(np.intp)
        treatment = action[:, 0].astype(np.intp)
        moved = np.empty_like(state)
        for vital, decisive in enumerate(conditions(state[-2].astype(np.intp), treatment, diabetes)):
            row = sum(condition << place for place, condition in enumerate(reversed(decisive)))
            row = COUNTS[vital] * row + vitals[vital]
            moved[vital] = sum(noise[:, vital] > upto[row] for upto in self._upto[vital])
        wrong = abnormal(moved[: len(COUNTS)])
        moved[DEATH], moved[DISCHARGE] = wrong >= DEADLY, (wrong == 0) & (treatment == NONE)
        moved[-2], moved[-1] = treatment, state[-1]
        moved = np.where(state[DEATH] + state[DISCHARGE] > 0.0, state, moved)
        return moved, moved[:OBSERVED].T
