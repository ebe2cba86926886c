"""Does the model still fit this person, and since when can one tell?

Under a model that fits, the rank of each observation among draws of the model is uniform, whatever went before. Bets
against that are fair, so that the capital they bring is a martingale: with a chance of 1 - alpha it never reaches
1 / alpha, however often one looks (Ville 1939). What is bet on: that values come out higher or lower than predicted, or
further out or in.

Sources: Vovk 2021, Statistical Science 36:595 (testing randomness online); Arnold, Henzi and Ziegel 2023, Biometrika
110:377 (sequentially valid tests for forecast calibration).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

STAKES = (-0.9, -0.5, -0.2, 0.2, 0.5, 0.9)
MOST = 1e300  # of one bet; more does not fit a number, and says nothing more


class DriftTest:
    """Capital of N people's bets against the model; the mean over all bets, which is what a mixture of them earns.

    Attributes:
        alpha: Chance of a false alarm per person, over all times together.
        alarm: Step at which each person's capital first reached 1 / alpha, shape (N,); 0 if it has not.
        t: Steps so far.
    """

    def __init__(self, people: int, alpha: float = 0.05) -> None:
        """Begin with a capital of 1 each.

        Raises:
            SpecError: If alpha is no chance.
        """
        if not 0.0 < alpha < 1.0:
            raise SpecError(f"alpha is {alpha}; allowed: a chance between 0 and 1.")
        self.alpha, self.t = alpha, 0
        self.alarm = np.zeros(people, dtype=np.int64)
        self._log = np.zeros((people, 2, len(STAKES)))

    @property
    def evidence(self) -> Floats:
        """Capital now, an e-value, (N,); no bet counts as more than ``MOST``."""
        return np.asarray(np.exp(np.minimum(self._log, np.log(MOST))).mean(axis=(1, 2)))

    @property
    def alarmed(self) -> NDArray[np.bool_]:
        """Whom the model no longer fits, (N,)."""
        return np.asarray(self.alarm > 0)

    def add(self, rank: Floats) -> None:
        """Take in the ranks (N,) of this step's observations, in (0, 1); NaN where nothing was observed.

        They are exact for any number of draws if ties are broken at random (``evaluation.fidelity.scores.rank``), and
        those of the cdf are.
        """
        if np.shape(rank) != self.alarm.shape or ((rank < 0.0) | (rank > 1.0)).any():
            raise SpecError(f"rank has shape {np.shape(rank)}; allowed: {self.alarm.shape}, numbers from 0 to 1.")
        self.t += 1
        away = 2.0 * np.where(np.isfinite(rank), rank, 0.5) - 1.0
        # Both have mean 0 over a uniform rank and stay within [-1, 1], so that no stake can lose all.
        odds = np.stack([away, 1.5 * (away**2 - 1.0 / 3.0)], axis=1)[..., None] * np.array(STAKES)
        known = np.isfinite(rank)[:, None, None]
        self._log = np.where(known, self._log + np.log1p(odds), self._log)
        self.alarm = np.where((self.alarm == 0) & (self.evidence >= 1.0 / self.alpha), self.t, self.alarm)
