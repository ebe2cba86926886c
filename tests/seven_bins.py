"""The lending of D'Amour et al. 2020 (Fairness is not Static, FAT*): seven score bins, one applicant at a time.

A granted applicant moves mass of their group one bin up or down. It is no dynamics of persons, so it is not shipped; it
shows that the thresholds of ``scenarios/credit/tables.py`` are those of the literature where populations move.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twingym.scenarios.credit.tables import equalised, profit, worth_it

REPAY = np.array([0.1, 0.2, 0.45, 0.6, 0.65, 0.7, 0.7])
FIRST = np.array([[0.0, 0.1, 0.1, 0.2, 0.3, 0.3, 0.0], [0.1, 0.1, 0.2, 0.3, 0.3, 0.0, 0.0]])
PEOPLE = np.array([0.5, 0.5])
MASS = 0.01  # moved by a loan
EARNED = LOST = 1.0

Grant = Callable[[np.ndarray], np.ndarray]


def max_utility(shares: np.ndarray) -> np.ndarray:
    """Grants (S, 2, 7), whatever the shares (S, 2, 7) of the bins."""
    return np.broadcast_to(worth_it(REPAY, LOST / (EARNED + LOST)), shares.shape)


def equal_opportunity(shares: np.ndarray) -> np.ndarray:
    """Grants (S, 2, 7) at equal true positive rates of the shares (S, 2, 7) as they are now."""
    paying = shares * REPAY
    gain = shares * profit(REPAY, EARNED, LOST)
    return equalised(paying / paying.sum(axis=-1, keepdims=True), gain, PEOPLE)


def lend(grant: Grant, steps: int, runs: int, mass: float = MASS, seed: int = 0) -> dict[str, np.ndarray]:
    """Meet ``steps`` applicants in each of ``runs`` markets.

    Returns:
        ``tpr``, ``loans`` and ``mean`` (chance to repay in the end), each (runs, 2), and ``profit`` (runs,).
    """
    random, row = np.random.Generator(np.random.Philox(key=seed)), np.arange(runs)
    shares = np.repeat(FIRST[None], runs, axis=0)
    would, did, loans = np.zeros((3, runs, 2))
    earned = np.zeros(runs)
    for _ in range(steps):
        u = random.random((4, runs))
        group = (u[0] < PEOPLE[1]).astype(int)
        own = shares[row, group]  # (S, 7)
        bin_ = np.minimum((own.cumsum(axis=1) <= u[1][:, None] * own.sum(axis=1, keepdims=True)).sum(axis=1), 6)
        repays = u[2] < REPAY[bin_]
        granted = u[3] < grant(shares)[row, group, bin_]
        would[row, group] += repays
        did[row, group] += repays & granted
        loans[row, group] += granted
        earned += granted * np.where(repays, EARNED, -LOST)
        moved = granted * np.minimum(mass, own[row, bin_])
        shares[row, group, bin_] -= moved
        shares[row, group, np.clip(bin_ + np.where(repays, 1, -1), 0, 6)] += moved
    return {"tpr": did / would, "loans": loans, "mean": shares @ REPAY, "profit": earned}
