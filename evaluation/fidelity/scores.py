"""How good is a forecast made of samples: CRPS, rank, and skill with an interval over people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from twingym.twins.cohort import Ids
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats


def crps(samples: Floats, truth: Floats) -> Floats:
    """Continuous ranked probability score of an ensemble, fair to its size.

    Args:
        samples: Shape (S, N), the unit of ``truth``; NaN where a sample ended before.
        truth: Shape (N,).

    Returns:
        Shape (N,), the unit of ``truth``; lower is better.

    Source: Ferro 2014, Q. J. R. Meteorol. Soc. 140:1917.
    """
    size = np.isfinite(samples).sum(axis=0)  # (N,)
    error = np.nanmean(np.abs(samples - truth), axis=0)
    ordered = np.sort(samples, axis=0)  # NaN last
    weight = 2.0 * np.arange(len(samples))[:, None] - (size - 1.0)  # (S, N)
    spread = np.nansum(weight * ordered, axis=0) * 2.0 / (size * np.maximum(size - 1.0, 1.0))
    return np.asarray(error - 0.5 * spread)


def cramer_distance(a: Floats, b: Floats) -> Floats:
    """By how much the CRPS of samples ``a`` for draws of ``b`` is above that of ``b`` itself, person by person.

    Args:
        a: Shape (S, N), S of at least 2.
        b: Shape (R, N).

    Returns:
        Shape (N,), without bias: around 0 where both are alike.

    Source: Szekely and Rizzo 2013, J. Stat. Plan. Inference 143:1249.
    """
    across = np.mean([np.abs(a - row).mean(axis=0) for row in b], axis=0)
    return np.asarray(across - 0.5 * mean_difference(a) - 0.5 * mean_difference(b))


def mean_difference(samples: Floats) -> Floats:
    """Mean distance between two different samples of (S, N), shape (N,): twice the CRPS of a right forecast."""
    size = len(samples)
    weight = 2.0 * np.arange(size)[:, None] - (size - 1.0)
    return np.asarray((weight * np.sort(samples, axis=0)).sum(axis=0) * 2.0 / (size * (size - 1.0)))


def rank(samples: Floats, truth: Floats, u: Floats) -> Floats:
    """Place of the truth among samples (S, N), in (0, 1), ties broken by ``u`` (N,): uniform if the forecast is right.

    Samples that ended before are NaN and do not count.
    """
    below, equal = (samples < truth).sum(axis=0), (samples == truth).sum(axis=0)
    return np.asarray((below + u * (equal + 1.0)) / (np.isfinite(samples).sum(axis=0) + 1.0))


def ties(seed: int, ids: Ids) -> Floats:
    """Return the uniforms by which ties of people's truths with their samples are broken, (N,)."""
    return uniforms(seed, ids, 0, Stream.POLICY, 1, 1)[:, 0]


def uniform_distance(ranks: Floats) -> float:
    """Mean distance of the distribution of ranks (N,) from uniform (probabilistic calibration error)."""
    return float(np.abs(np.sort(ranks) - (np.arange(len(ranks)) + 0.5) / len(ranks)).mean())


def central(ranks: Floats, level: float) -> NDArray[np.bool_]:
    """Whether each rank is inside the central interval of this level."""
    tail = 0.5 * (1.0 - level)
    return np.asarray((ranks > tail) & (ranks < 1.0 - tail))


def covered(ranks: Floats, level: float) -> float:
    """Share of ranks inside the central interval of this level."""
    return float(central(ranks, level).mean())


def energy_score(samples: Floats, truth: Floats) -> Floats:
    """Energy score of a joint forecast: the distance from the truth, less half of that between two futures.

    Variables are measured in standard deviations of the truth over people; those that do not vary do not count.

    Args:
        samples: Shape (S, N, V); a sample with NaN ended before and does not count.
        truth: Shape (N, V).

    Returns:
        Shape (N,); lower is better, and the mean is lowest for the true joint distribution.

    Source: Gneiting and Raftery 2007, J. Am. Stat. Assoc. 102:359.
    """
    spread = truth.std(axis=0)
    kept = spread > 0.0
    x, y = samples[..., kept] / spread[kept], truth[:, kept] / spread[kept]
    # Neighbours are independent draws: S pairs instead of S^2 leave the mean over people as it is.
    between = np.linalg.norm(x - np.roll(x, 1, axis=0), axis=-1)
    return np.asarray(np.nanmean(np.linalg.norm(x - y, axis=-1), axis=0) - 0.5 * np.nanmean(between, axis=0))


def skill(score: Floats, baseline: Floats, seed: int = 0, resamples: int = 1000) -> tuple[float, float, float]:
    """One minus the ratio of mean scores, each (N,), with a 95 % bootstrap interval over people.

    Returns:
        Estimate, lower and upper end.
    """
    value, low, high = ratio(score, baseline, seed, resamples)
    return 1.0 - value, 1.0 - high, 1.0 - low


def ratio(amounts: Floats, per: Floats, seed: int = 0, resamples: int = 1000) -> tuple[float, float, float]:
    """Sum of amounts over the sum of what they are per, each (N,), with a 95 % bootstrap interval over people.

    Returns:
        Estimate, lower and upper end.
    """
    random = np.random.default_rng(seed)
    weight = random.multinomial(len(amounts), np.full(len(amounts), 1.0 / len(amounts)), size=resamples)
    low, high = np.quantile((weight @ amounts) / (weight @ per), [0.025, 0.975])
    return float(amounts.sum() / per.sum()), float(low), float(high)


def rank_correlation(a: Floats, b: Floats, seed: int = 0, resamples: int = 1000) -> tuple[float, float, float]:
    """Spearman's correlation of a and b, each (N,), with a 95 % bootstrap interval; 0 where one does not vary."""
    random = np.random.default_rng(seed)

    def spearman(rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float:
        first, second = (rankdata(x[rows]) for x in (a, b))
        if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
            return 0.0  # puts nobody before anybody else
        return float(np.corrcoef(first, second)[0, 1])

    everyone = np.arange(len(a))
    draws = [spearman(random.integers(0, len(a), len(a))) for _ in range(resamples)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return spearman(everyone), float(low), float(high)
