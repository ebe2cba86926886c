"""What follows exactly from the tables of Sepsis: the chances of all 1,440 states, and the best treatment of each.

Legend of shapes: D = 2, without and with diabetes; A = 8 combinations of treatments, the last ones or those of a step;
V = 90 combinations of vital signs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from twingym.scenarios.sepsis.tables import COUNTS, DEADLY, NONE, TREATMENTS, Constants, Numbers, abnormal, tables
from twingym.twins.scales import Floats

SIGNS = int(np.prod(COUNTS))
CHOICES = len(TREATMENTS)
DISCOUNT = 0.99  # per step, of the authors' policies
TOLERANCE = 1e-10  # by which a treatment must be better to be preferred: less is rounding

_WRONG = abnormal(np.indices(COUNTS).reshape(len(COUNTS), -1))
# Whether patients are dead, (V,), or discharged, (A, V): 0 or 1.
DEAD = np.asarray(_WRONG >= DEADLY, dtype=np.float64)
DISCHARGED = np.asarray((np.arange(CHOICES) == NONE)[:, None] & (_WRONG == 0), dtype=np.float64)


def number_of(vitals: Numbers) -> Numbers:
    """Return the numbers (N,) of combinations of vital signs (4, N)."""
    return np.asarray(np.ravel_multi_index(tuple(vitals), COUNTS))


@lru_cache(maxsize=4)
def transitions(constants: Constants) -> Floats:
    """Return the chances of vital signs after a step, (D, A before, A now, V before, V after)."""
    conditions = np.indices((2, CHOICES, CHOICES), dtype=np.intp).reshape(3, -1)
    diabetes, before, now = conditions
    found = np.einsum("nae,nbf,ncg,ndh->nabcdefgh", *tables(constants).of(before, now, diabetes))
    return np.asarray(found).reshape(2, CHOICES, CHOICES, SIGNS, SIGNS)


@lru_cache(maxsize=4)
def best(constants: Constants, discount: float = DISCOUNT) -> Floats:
    """Return what each treatment is worth if the best ones follow, (D, A before, V, A now); worked out once.

    A discharge is worth 1 and a death -1, discounted by step. States that are over are worth 0.

    Source: policy iteration, Howard 1960, "Dynamic programming and Markov processes".
    """
    reward, going = DISCHARGED - DEAD, 1.0 - np.maximum(DISCHARGED, DEAD)  # (A, V)
    chances = transitions(constants)
    # What a treatment brings at once in states that go on, and where it leads that goes on.
    gains = np.einsum("pv,dpavw,aw->dpva", going, chances, reward).reshape(2, -1, CHOICES)
    leads = np.einsum("pv,dpavw,aw->dpvaw", going, chances, going).reshape(2, -1, CHOICES, SIGNS)
    found = [_iterate(gain, lead, discount) for gain, lead in zip(gains, leads, strict=True)]
    return np.stack(found).reshape(2, CHOICES, SIGNS, CHOICES)


def _iterate(gain: Floats, lead: Floats, discount: float) -> Floats:
    """Return the worth (S, A) of treatments in S = A V states, from gains (S, A) and chances (S, A, V)."""
    states = np.arange(len(gain))
    policy = np.full(len(gain), NONE)
    while True:
        onwards = np.zeros_like(lead)
        onwards[states, policy] = lead[states, policy]
        system = np.eye(len(gain)) - discount * onwards.reshape(len(gain), -1)
        value = np.linalg.solve(system, gain[states, policy])
        worth = gain + discount * np.einsum("saw,aw->sa", lead, value.reshape(CHOICES, SIGNS))
        better = worth.max(axis=1) > worth[states, policy] + TOLERANCE
        if not better.any():
            return np.asarray(worth)
        policy = np.where(better, worth.argmax(axis=1), policy)
