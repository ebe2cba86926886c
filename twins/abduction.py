"""Which luck did this person have, and what would have become of them with the same luck and other treatment?

Pearl's three steps (Pearl 2009, Causality, 7.1): abduction of the noise from what was recorded, action, prediction.
The noise of an observation is its rank in the distribution that the model expected, u = cdf(x | past, treatment); the
same rank is then read off the distribution under another treatment. That is an answer only if noise preserves ranks:
whoever was lucky with the one treatment would have been as lucky with the other. Data cannot tell; see ``ASSUMPTION``.
Until the treatment differs, a person's course is the recorded one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twingym.twins.cohort import Cohort
from twingym.twins.courses import Courses
from twingym.twins.decode import TransformerDynamics
from twingym.twins.errors import ActionError, DynamicsError
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

ASSUMPTION = "assumes rank-preserving noise"


class Counterfactual(np.ndarray[Any, np.dtype[np.float64]]):
    """Courses that nobody lived, (N, T + 1, V): an array that says what it rests on.

    Attributes:
        assumption: What data can not tell.
    """

    assumption = ASSUMPTION


def counterfactual(
    dynamics: TransformerDynamics, courses: Courses, since: int, delivered: Floats, seed: int = 0
) -> Counterfactual:
    """Return what would have been observed had other amounts been delivered from step ``since`` on, (N, T + 1, V).

    It assumes rank-preserving noise (:data:`ASSUMPTION`, which the result carries), and that inputs would have been the
    same. Until the treatment differs it is what was recorded, to the digit. Where an observation is missing, its luck
    is drawn; a value that is not always measured is measured where it was, but for what treatment changes in that.

    Args:
        dynamics: A twin model without hidden states.
        courses: N recorded courses of T steps.
        since: First step that is treated otherwise, 0 to T - 1.
        delivered: Amounts instead of the recorded ones, (N, T, A); those before ``since`` are not looked at.
        seed: Of luck that is not recorded: heads, missing observations, and where in an atom's mass a value lay.

    Raises:
        DynamicsError: If there is no twin model, ``since`` is no step of the courses, or the model has hidden states,
            whose luck no observation gives away.
        ActionError: If amounts have the wrong shape, are not finite, or less than is possible.
    """
    _check_model(dynamics)
    _check_request(dynamics, courses, since, delivered)
    count, steps = len(courses), courses.delivered.shape[1]
    who = Cohort(courses.ids, courses.traits)

    def luck(t: int) -> Floats:
        return uniforms(seed, courses.ids, 0, Stream.DYNAMICS, t, dynamics.noise_width)

    other = courses.observed.copy()
    state, _ = dynamics.initial(who, courses.inputs[:, 0], luck(0))
    state, twin = dynamics.observe(state, courses.observed[:, 0]), None
    same = np.ones(count, dtype=np.bool_)  # whose treatment has not differed yet
    for t in range(steps):
        if t == since:
            twin = dynamics.take(state, np.arange(count))
        action, taken, noise = courses.delivered[:, t], courses.inputs[:, t], luck(t + 1)
        recorded = courses.observed[:, t + 1]
        if twin is not None:
            noise = dynamics.abducted(dynamics.take(state, np.arange(count)), action, taken, recorded, noise)
            twin, drawn = dynamics.step(twin, delivered[:, t], taken, noise)
            same &= (delivered[:, t] == action).all(axis=1)
            twin = dynamics.observe(twin, recorded[same], np.flatnonzero(same))
            other[:, t + 1] = np.where(same[:, None] & np.isfinite(recorded), recorded, drawn)
        state, _ = dynamics.step(state, action, taken, noise)
        state = dynamics.observe(state, recorded)
    other[np.arange(steps + 1) > courses.length[:, None]] = np.nan
    return other.view(Counterfactual)


def _check_model(dynamics: TransformerDynamics) -> None:
    if not isinstance(dynamics, TransformerDynamics):
        raise DynamicsError(
            f"counterfactuals need the dynamics of a twin model, whose ranks of observations are exact; this is "
            f"{type(dynamics).__name__}. Pass TwinModel.load(folder).dynamics(), or make a reference live through the "
            "same noise twice."
        )
    hidden = [v.name for v in dynamics.spec.modelled if v.recurrent or v.amount_of]
    if hidden:
        raise DynamicsError(
            f"no counterfactuals of {', '.join(hidden)}: their twins have hidden habits, whose luck observations "
            "do not give away. Compare futures under the same luck instead: personalise(...).branch(policies)."
        )


def _check_request(dynamics: TransformerDynamics, courses: Courses, since: int, delivered: Floats) -> None:
    steps, known = courses.delivered.shape[1], courses.delivered.shape
    if not 0 <= since < steps:
        raise DynamicsError(
            f"since is step {since}; allowed: 0 to {steps - 1}, the steps of these courses. Give the first step that "
            "is to be treated otherwise."
        )
    if np.shape(delivered) != known:
        raise ActionError(
            f"delivered has shape {np.shape(delivered)}; allowed: {known}, people, steps and interventions of the "
            "recorded courses. Change a copy of courses.delivered."
        )
    lived: NDArray[np.bool_] = np.arange(steps) < courses.length[:, None]
    lived[:, :since] = False
    for k, variable in enumerate(dynamics.spec.interventions):
        wrong = lived & ~(np.isfinite(delivered[..., k]) & (delivered[..., k] >= variable.low))
        if wrong.any():
            row, t = np.argwhere(wrong)[0]
            raise ActionError(
                f"delivered {variable.name!r} is {delivered[row, t, k]:g} {variable.unit}".rstrip()
                + f" in row {row}, step {t}; allowed: finite, from {variable.low:g} {variable.unit}".rstrip()
                + ". Correct that amount."
            )
