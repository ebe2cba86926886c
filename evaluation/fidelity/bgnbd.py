"""BG/NBD: when will customers buy again, by the model that marketing has used for twenty years?

A customer buys at a rate of their own, gamma distributed between customers, and is gone after each purchase with a
probability of their own, beta distributed. Source: Fader, Hardie and Lee 2005, Marketing Science 24:275.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaincinv, betaln, gammaincinv, gammaln, hyp2f1
from scipy.stats import poisson

from twingym.twins.cohort import Ids
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

TYPES, DRAWS = 4000, 200  # kinds of customers that stand for all; futures per customer


@dataclass(frozen=True)
class Customers:
    """What BG/NBD reads of N customers.

    Attributes:
        frequency: Repeat purchases, (N,).
        recency: Time of the last one, 0 without any, (N,).
        age: Time known, (N,), in the same unit.
    """

    frequency: Floats
    recency: Floats
    age: Floats

    @classmethod
    def of(cls, counts: Floats, stop: NDArray[np.int64]) -> Customers:
        """Read counts (N, T + 1) up to step ``stop`` (N,); what was bought at step 0 is no repeat."""
        step = np.arange(counts.shape[1])
        repeats = np.where((step > 0) & (step <= stop[:, None]), np.nan_to_num(counts), 0.0)
        last = np.where(repeats > 0, step, 0).max(axis=1)
        return cls(repeats.sum(axis=1), last.astype(np.float64), stop.astype(np.float64))


@dataclass(frozen=True)
class BgNbd:
    """The four parameters: purchase rate ~ gamma(r, alpha), chance to leave ~ beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, known: Customers) -> float:
        """Return the log likelihood of customers: equation (6) of the source."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        x, tx, age = known.frequency, known.recency, known.age
        shared = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + age)
        safe = np.maximum(x, 1.0)
        gone = betaln(a + 1.0, b + safe - 1.0) - betaln(a, b) - (r + x) * np.log(alpha + tx)
        return float((shared + np.logaddexp(alive, np.where(x > 0, gone, -np.inf))).sum())

    def expected(self, known: Customers, ahead: float) -> Floats:
        """Return the expected purchases of each in the next ``ahead``: equation (10) of the source, (N,)."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        x, tx, age = known.frequency, known.recency, known.age
        share = ahead / (alpha + age + ahead)
        hyper = hyp2f1(r + x, b + x, a + b + x - 1.0, share)
        grown = (a + b + x - 1.0) / (a - 1.0) * (1.0 - ((alpha + age) / (alpha + age + ahead)) ** (r + x) * hyper)
        odds = np.where(x > 0, a / (b + np.maximum(x, 1.0) - 1.0) * ((alpha + age) / (alpha + tx)) ** (r + x), 0.0)
        return np.asarray(grown / (1.0 + odds))


def fit_bgnbd(known: Customers) -> BgNbd:
    """Fit by maximum likelihood."""

    def loss(logs: Floats) -> float:
        return -BgNbd(*np.exp(logs)).log_likelihood(known) / len(known.frequency)

    found = minimize(
        loss,
        np.zeros(4),
        method="Nelder-Mead",
        options={"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-10},
    )
    return BgNbd(*(float(value) for value in np.exp(found.x)))


def draw_future(model: BgNbd, known: Customers, ahead: NDArray[np.int64], ids: Ids, seed: int) -> Floats:
    """Draw purchases so far at steps ``ahead`` (H,) from now, by what is known of each customer: (DRAWS, N, H).

    Rates and chances of leaving are drawn from a few thousand kinds of customers, weighted by how likely each makes
    what is known.
    """
    # Evenly spread over the square: the additive sequence of the plastic number (Roberts 2018).
    u = (0.5 + np.arange(1, TYPES + 1)[:, None] * np.array([0.7548776662466927, 0.5698402909980532])) % 1.0
    rate = gammaincinv(model.r, u[:, 0]) / model.alpha  # (K,)
    leave = np.clip(betaincinv(model.a, model.b, u[:, 1]), 1e-9, 1.0 - 1e-9)
    x, tx, age = (column[:, None] for column in (known.frequency, known.recency, known.age))
    bought = x * np.log(np.maximum(rate, 1e-300))  # (N, K)
    alive = bought + x * np.log1p(-leave) - rate * age
    gone = np.where(x > 0, bought + np.log(leave) + (x - 1.0) * np.log1p(-leave) - rate * tx, -np.inf)
    scale = np.maximum(alive.max(axis=1), gone.max(axis=1))[:, None]
    mass = np.concatenate([np.exp(alive - scale), np.exp(gone - scale)], axis=1).cumsum(axis=1)  # (N, 2 K)
    luck = uniforms(seed, ids, 0, Stream.DYNAMICS, 0, 2 * DRAWS).reshape(len(ids), 2, DRAWS)
    found = np.zeros((DRAWS, len(ids), len(ahead)))
    steps = np.diff(ahead, prepend=0)
    for row in range(len(ids)):
        kind = np.searchsorted(mass[row], luck[row, 0] * mass[row, -1], side="right")
        here, type_ = kind < TYPES, kind % TYPES
        # Purchases until the last: 1, 2, ... with the chance to leave after each.
        most = np.where(here, np.floor(np.log(luck[row, 1]) / np.log1p(-leave[type_])) + 1.0, 0.0)
        more = uniforms(seed, np.full(DRAWS, ids[row]), np.arange(DRAWS), Stream.DYNAMICS, 1, len(ahead))
        counts = poisson.ppf(more, rate[type_][:, None] * steps).cumsum(axis=1)
        found[:, row] = np.minimum(counts, most[:, None])
    return found
