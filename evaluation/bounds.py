"""How sure is a number that was measured on a sample of people?

The sampling unit is a person. Bounds of means are Hall's transformed t (Hall 1992, "On the removal of skewness by
transformation", J. R. Stat. Soc. B 54:221): costs are full of zeros and skewed, where Student's t covers far less
than it says; it covers what a bootstrap-t does, in closed form. The upper bound of a cost counts one person more, as
bad as the worst one seen, as Clopper and Pearson count one more success: with few people affected nothing else covers.
``tests/test_evaluation_coverage.py`` measures all of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta
from scipy.stats import t as student

from twingym.evaluation.resampling import Groups, Replicates, bootstrap, max_gap, pair_gaps
from twingym.twins.scales import Floats

LEVEL = 0.95
Bound = Callable[[float], float]
_HALVINGS = 30


@dataclass(frozen=True)
class Estimate:
    """A number with a one-sided bound on either side.

    Attributes:
        value: The estimate.
        lower: From a level such as 0.95 to the number that the truth is at least, with that confidence.
        upper: The same for at most.
    """

    value: float
    lower: Bound
    upper: Bound

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the two-sided interval."""
        return self.lower(0.5 + level / 2), self.upper(0.5 + level / 2)

    def bounded(self, level: float = LEVEL) -> list[float]:
        """Return the estimate and both ends of its interval."""
        return [self.value, *self.interval(level)]

    def p_above(self, limit: float) -> float:
        """Return the p-value of "at most ``limit``": the least error at which the lower bound exceeds it."""
        if np.isnan(self.value):
            return float("nan")
        least, most = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (least + most)
            if self.lower(1.0 - middle) > limit:
                most = middle
            else:
                least = middle
        return most


def mean_of(values: Floats, cost: bool = False) -> Estimate:
    """Return the mean of one number per person.

    Args:
        values: Shape (N,).
        cost: Whether the numbers are non-negative costs. Their upper bound counts one more person, as bad as the worst;
            where all are 0 or 1 the bounds are exact (so with nobody affected among n, at most about 3 / n are).
    """
    if np.isnan(values).any() or len(values) == 0:
        return _unknown()
    if cost and np.isin(values, (0.0, 1.0)).all():
        return share_of(values)
    sample = Cumulants.of(values)
    worse = Cumulants.of(np.append(values, values.max())) if cost else sample
    floor = 0.0 if cost else -np.inf
    return Estimate(sample.mean, lambda level: max(sample.lower(level), floor), worse.upper)


def share_of(values: Floats) -> Estimate:
    """Return the mean of shares, one per person, shape (N,); exact for 0 and 1 (Clopper and Pearson 1934).

    Shares in between (several episodes each) spread less than 0 and 1 with the same mean: the bounds are then wide.
    """
    if np.isnan(values).any() or len(values) == 0:
        return _unknown()
    n, hits = len(values), float(values.sum())

    def lower(level: float) -> float:
        return float(beta.ppf(1.0 - level, hits, n - hits + 1.0)) if hits > 0 else 0.0

    def upper(level: float) -> float:
        return float(beta.ppf(level, hits + 1.0, n - hits)) if hits < n else 1.0

    return Estimate(hits / n, lower, upper)


def tail_of(values: Floats, risk: float) -> Estimate:
    """Return the mean of the worst ``risk`` share of episodes (conditional value at risk), with people as the unit.

    Args:
        values: Costs, shape (N, S): S episodes of each person.
        risk: Share between 0 and 1.

    Source: Rockafellar and Uryasev 2000, J. Risk 2:21: it is the mean of q + (x - q)+ / risk at the quantile q.
    """
    if np.isnan(values).any() or len(values) == 0:
        return _unknown()
    ordered = np.sort(values, axis=None)[::-1]
    quantile = ordered[int(np.ceil(risk * len(ordered))) - 1]
    spread = quantile + np.maximum(values - quantile, 0.0) / risk
    return mean_of(spread.mean(axis=1), cost=True)


def gap_of(values: Floats, groups: Groups, cost: bool = False, drawn: Replicates | None = None) -> Estimate:
    """Return the greatest difference between group means.

    The estimate is biased upwards. That is safe for the upper bound: the greater of the bootstrap's quantile of the
    greatest difference and of every pair's own bound. The lower bound is simultaneous over pairs (bootstrap of the
    greatest t), so chance differences between like groups do not lift it.

    Args:
        values: One number per person, shape (N,).
        groups: Rows of each group.
        cost: Whether the numbers are non-negative costs.
        drawn: Resamples of these numbers by group, one measure, if there are some already.
    """
    if np.isnan(values).any() or len(groups) < 2 or min(len(rows) for rows in groups) < 2:
        return _unknown()
    if cost and not values.any():  # nobody affected anywhere: each group's exact share, as for a mean
        shares = [share_of(values[rows]) for rows in groups]
        return Estimate(0.0, lambda level: 0.0, lambda level: max(s.upper(level) for s in shares))
    drawn = drawn or bootstrap(values[:, None], groups)
    gaps = max_gap(drawn.values)[:, 0]
    difference, error, pivots = pair_gaps(drawn)
    greatest = pivots[..., 0].max(axis=1)
    plain = [Cumulants.of(values[rows]) for rows in groups]
    worst = [values[rows].max() or values.max() for rows in groups]
    worse = [Cumulants.of(np.append(values[rows], w)) for rows, w in zip(groups, worst, strict=True)] if cost else plain

    def lower(level: float) -> float:
        if level > 1.0 - 1.0 / (1 + len(greatest)):
            return 0.0  # so many resamples say nothing about so high a level
        reach = float(np.quantile(greatest, level, method="higher"))
        return max(0.0, float((difference - reach * error).max()))

    def upper(level: float) -> float:
        pairs = [a.minus(b).upper(level) for i, a in enumerate(worse) for j, b in enumerate(plain) if i != j]
        return max(*pairs, float(np.quantile(gaps, level)))

    return Estimate(float(max_gap(drawn.value[None])[0, 0]), lower, upper)


def over_training(estimates: Sequence[Estimate]) -> Estimate:
    """Combine the estimates of several training seeds, judged on the same people.

    People and training seeds both are samples: the two distances from mean to bound are added in squares (Zou and
    Donner 2008, Stat. Med. 27:1693), that of the seeds by Student's t. Resampling three seeds would cover far too
    little.
    """
    if len(estimates) == 1:
        return estimates[0]
    values = np.array([e.value for e in estimates])
    mean, count = float(values.mean()), len(values)
    error = float(values.std(ddof=1)) / np.sqrt(count)

    def reach(bounds: list[float], level: float) -> float:
        people = float(np.mean(bounds)) - mean
        seeds = error * float(student.ppf(level, count - 1))
        return float(np.copysign(np.hypot(people, seeds), level - 0.5))

    return Estimate(
        mean,
        lambda level: mean - reach([e.lower(level) for e in estimates], level),
        lambda level: mean + reach([e.upper(level) for e in estimates], level),
    )


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Return p-values corrected for their number, in the order given (Holm 1979, Scand. J. Stat. 6:65); NaN stays."""
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(len(p), np.nan)
    order = np.flatnonzero(~np.isnan(p))[np.argsort(p[~np.isnan(p)], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return corrected


@dataclass(frozen=True)
class Cumulants:
    """Mean of a sample, and the second and third cumulant of that mean; ``freedom`` degrees of it."""

    mean: float
    second: float
    third: float
    freedom: float

    @classmethod
    def of(cls, values: Floats) -> Cumulants:
        """Estimate them, without bias, from one number per person, shape (N,)."""
        n = len(values)
        if n < 2:
            return cls(float(values.mean()), np.inf, 0.0, 1.0)
        off = values - values.mean()
        third = float((off**3).sum()) * n / ((n - 1) * (n - 2)) / n**2 if n > 2 else 0.0
        return cls(float(values.mean()), float((off**2).sum()) / (n - 1) / n, third, n - 1.0)

    def minus(self, other: Cumulants) -> Cumulants:
        """Return those of the difference between two independent means (Welch's degrees of freedom)."""
        second = self.second + other.second
        parts = self.second**2 / self.freedom + other.second**2 / other.freedom
        freedom = second**2 / parts if 0.0 < parts < np.inf else min(self.freedom, other.freedom)
        return Cumulants(self.mean - other.mean, second, self.third - other.third, freedom)

    def lower(self, level: float) -> float:
        """Return the lower bound of the mean."""
        return self.mean - self._reach(float(student.ppf(level, self.freedom)))

    def upper(self, level: float) -> float:
        """Return the upper bound of the mean."""
        return self.mean - self._reach(float(student.ppf(1.0 - level, self.freedom)))

    def _reach(self, quantile: float) -> float:
        """Turn a quantile of Student's t into one of the skewed (mean - truth), by the inverse of Hall's cubic."""
        error = float(np.sqrt(self.second))
        if error == 0.0:
            return 0.0
        if np.isinf(error):
            return float(np.copysign(np.inf, quantile))
        skew = self.third / error**3
        if abs(skew) < 1e-6:
            return error * quantile
        return error * 3.0 / skew * (float(np.cbrt(1.0 + skew * (quantile - skew / 6.0))) - 1.0)


def _unknown() -> Estimate:
    return Estimate(float("nan"), lambda level: -np.inf, lambda level: np.inf)
