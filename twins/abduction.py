"""Which luck did this person have, and what would have become of them with the same luck and other treatment?

Pearl's three steps (Pearl 2009, Causality, 7.1): abduction of the noise from what was recorded, action, prediction.
The noise of an observation is its rank in the distribution that the model expected, u = cdf(x | past, treatment); the
same rank is then read off the distribution under another treatment. That is an answer only if noise preserves ranks:
whoever was lucky with the one treatment would have been as lucky with the other. Data cannot tell; see ``ASSUMPTION``.
"""

from __future__ import annotations

import numpy as np
import torch

from twingym.twins.cohort import Cohort
from twingym.twins.courses import Courses
from twingym.twins.decode import TransformerDynamics, TwinState
from twingym.twins.errors import DynamicsError
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

ASSUMPTION = "assumes rank-preserving noise"


def counterfactual(
    dynamics: TransformerDynamics, courses: Courses, since: int, delivered: Floats, seed: int = 0
) -> Floats:
    """Return what would have been observed had other amounts been delivered from step ``since`` on, (N, T + 1, V).

    It assumes rank-preserving noise (:data:`ASSUMPTION`), and that inputs would have been the same. Up to ``since`` it
    is what was recorded. Where an observation is missing, its luck is drawn.

    Args:
        dynamics: A twin model without hidden states.
        courses: N recorded courses of T steps.
        since: First step that is treated otherwise.
        delivered: Amounts instead of the recorded ones, (N, T, A); those before ``since`` are not looked at.
        seed: Of luck that is not recorded: heads, missing observations, and where in an atom's mass a value lay.

    Raises:
        DynamicsError: If the model has hidden states, whose luck no observation gives away.
    """
    _check(dynamics)
    count, steps = len(courses), courses.delivered.shape[1]
    who = Cohort(courses.ids, courses.traits)

    def luck(t: int) -> Floats:
        return uniforms(seed, courses.ids, 0, Stream.DYNAMICS, t, dynamics.noise_width)

    other = courses.observed.copy()
    state, _ = dynamics.initial(who, courses.inputs[:, 0], luck(0))
    state, twin = dynamics.observe(state, courses.observed[:, 0]), None
    for t in range(steps):
        if t == since:
            twin = dynamics.take(state, np.arange(count))
        action, taken, noise = courses.delivered[:, t], courses.inputs[:, t], luck(t + 1)
        recorded = courses.observed[:, t + 1]
        if twin is not None:
            before = dynamics.take(state, np.arange(count))
            noise = abducted(dynamics, before, action, taken, recorded, noise)
            twin, other[:, t + 1] = dynamics.step(twin, delivered[:, t], taken, noise)
        state, _ = dynamics.step(state, action, taken, noise)
        state = dynamics.observe(state, recorded)
    other[np.arange(steps + 1) > courses.length[:, None]] = np.nan
    return other


@torch.inference_mode()
def abducted(
    dynamics: TransformerDynamics, state: TwinState, action: Floats, inputs: Floats, observed: Floats, spare: Floats
) -> Floats:
    """Return the noise (N, noise_width) with which a step would have led to what was observed, (N, V).

    Args:
        dynamics: The model.
        state: That before the step; it is used up.
        action: What was delivered, (N, A).
        inputs: What was taken in, (N, K).
        observed: What followed; NaN where missing.
        spare: Uniforms (N, noise_width): kept where nothing was observed, and the place within an atom's mass.
    """
    noise = spare.copy()
    for k, (known, rank) in enumerate(dynamics.ranks(state, action, inputs, observed, spare)):
        noise[:, 1 + k] = np.where(known, rank, spare[:, 1 + k])
    return noise


def _check(dynamics: TransformerDynamics) -> None:
    hidden = [v.name for v in dynamics.spec.modelled if v.recurrent or v.amount_of]
    if hidden:
        raise DynamicsError(
            f"no counterfactuals of {', '.join(hidden)}: their twins have hidden habits, whose luck observations "
            "do not give away. Compare futures under the same luck instead: personalise(...).branch(policies)."
        )
