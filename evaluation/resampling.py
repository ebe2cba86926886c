"""What would other people from the same groups have shown: twins resampled within groups, and labels shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twingym.twins.cohort import Rows
from twingym.twins.scales import Floats

Groups = Sequence[Rows]
DRAWS = 2000
SHUFFLES = 5000
# A resample without any affected person has no spread of its own; it is taken to have this share of the sample's.
_LEAST_SPREAD = 0.2


def groups_of(labels: ArrayLike) -> dict[str, Rows]:
    """Return the rows of each label, in order of first appearance, so that other names change nothing.

    Args:
        labels: One per person, shape (N,).
    """
    array = np.asarray(labels, dtype=str)
    found, first = np.unique(array, return_index=True)
    return {str(label): np.flatnonzero(array == label) for label in found[np.argsort(first)]}


@dataclass(frozen=True)
class Replicates:
    """G groups, M measures, B resamples.

    Attributes:
        value: Mean (or ratio of sums) of each group, shape (G, M).
        error: Its standard error, shape (G, M).
        values: The same in each resample, shape (B, G, M).
        errors: Standard error in each resample, shape (B, G, M).
    """

    value: Floats
    error: Floats
    values: Floats
    errors: Floats

    def only(self, measure: int) -> Replicates:
        """Return those of one measure."""
        at = slice(measure, measure + 1)
        return Replicates(self.value[:, at], self.error[:, at], self.values[..., at], self.errors[..., at])

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return two-sided bootstrap-t intervals of each group's value, shapes (G, M)."""
        pivots = (self.values - self.value) / _floored(self.errors, self.error)
        high, low = np.quantile(pivots, [0.5 + level / 2, 0.5 - level / 2], axis=0)
        return self.value - high * self.error, self.value - low * self.error


def bootstrap(
    amounts: Floats, groups: Groups, per: Floats | None = None, draws: int = DRAWS, seed: int = 0
) -> Replicates:
    """Resample people within each group.

    Args:
        amounts: One row per person, shape (N, M).
        groups: Rows of each of the G groups.
        per: Denominators, shape (N, M): the values are then ratios of sums; ones if None (means).
        draws: Number of resamples, B.
        seed: Same seed and people, same resamples.
    """
    generator = np.random.default_rng(seed)
    under = np.ones_like(amounts) if per is None else per
    value, error, values, errors = [], [], [], []
    for rows in groups:
        n = len(rows)
        picked = generator.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
        times = np.bincount(picked.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)
        weights = np.concatenate([np.ones((1, n)), times])
        ratio, spread = _ratio(weights, amounts[rows], under[rows])
        value.append(ratio[0])
        error.append(spread[0])
        values.append(ratio[1:])
        errors.append(spread[1:])
    return Replicates(np.stack(value), np.stack(error), np.stack(values, axis=1), np.stack(errors, axis=1))


def max_gap(values: Floats) -> Floats:
    """Return greatest minus least group, from (..., G, M) to (..., M)."""
    return np.asarray(values.max(axis=-2) - values.min(axis=-2))


def pair_gaps(drawn: Replicates) -> tuple[Floats, Floats, Floats]:
    """Return all ordered pairs' differences (P, M), their errors (P, M), and pivots in each resample (B, P, M)."""
    one, other = np.nonzero(~np.eye(len(drawn.value), dtype=bool))
    difference = drawn.value[one] - drawn.value[other]
    error = np.hypot(drawn.error[one], drawn.error[other])
    errors = _floored(np.hypot(drawn.errors[:, one], drawn.errors[:, other]), error)
    return difference, error, (drawn.values[:, one] - drawn.values[:, other] - difference) / errors


def null_p(amounts: Floats, groups: Groups, per: Floats | None = None, draws: int = SHUFFLES, seed: int = 0) -> Floats:
    """Return how often shuffled labels give as great a gap, shape (M,): the p-value of "all groups are alike".

    Args:
        amounts: One row per person, shape (N, M).
        groups: Rows of each group; rows in none of them take no part.
        per: Denominators, shape (N, M), or None.
        draws: Number of shuffles.
        seed: Same seed and people, same shuffles.
    """
    generator = np.random.default_rng(seed)
    everyone = np.sort(np.concatenate([np.asarray(rows) for rows in groups]))
    over, under = amounts[everyone], (np.ones_like(amounts) if per is None else per)[everyone]
    # Row 0 is what was seen, by the same arithmetic as the shuffles, so that ties count as ties.
    place = np.empty(len(amounts), dtype=np.intp)
    place[everyone] = np.arange(len(everyone))
    seen = np.empty(len(everyone), dtype=np.int8)
    for number, rows in enumerate(groups):
        seen[place[rows]] = number
    labels = np.concatenate([seen[None], generator.permuted(np.tile(seen, (draws, 1)), axis=1)])
    gaps = max_gap(np.stack([_ratio(labels == number, over, under)[0] for number in range(len(groups))], axis=1))
    return np.asarray((1.0 + (gaps[1:] >= gaps[0] - 1e-12 * np.abs(gaps[0])).sum(axis=0)) / (1.0 + draws))


def _ratio(weights: ArrayLike, amounts: Floats, per: Floats) -> tuple[Floats, Floats]:
    """Return weighted ratios of sums and their standard errors, shapes (B, M), from weights (B, n)."""
    w = np.asarray(weights, dtype=np.float64)
    people, over, under = w.sum(axis=1, keepdims=True), w @ amounts, w @ per
    others = np.where(people > 1.0, people - 1.0, np.nan)  # one person has no spread
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = over / under
        off = w @ amounts**2 - 2.0 * ratio * (w @ (amounts * per)) + ratio**2 * (w @ per**2)
        error = np.sqrt(np.maximum(off, 0.0) * people / others) / under
    return ratio, error


def _floored(errors: Floats, error: Floats) -> Floats:
    return np.maximum(errors, np.where(error > 0.0, _LEAST_SPREAD * error, 1.0))
