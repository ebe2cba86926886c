"""How is a head made to mean the probabilities it says: its cdf, bent by a monotone map?

The map R takes what a head calls probability p to how often that was true of others: the bent cdf is R(F(x)), and a
uniform u draws the quantile of R^-1(u). Source: Kuleshov, Fenner & Ermon 2018, "Accurate uncertainties for deep
learning using calibrated regression", ICML.

Legend of shapes: ... = any leading axes, P = parameters of one variable, Q = knots.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from twingym.twins.errors import SpecError
from twingym.twins.head import Head

# Knots of the map: denser in the tails, where limits are.
LEVELS = (0.0, 0.005, 0.01, 0.025, 0.05, *(0.1 * k for k in range(1, 10)), 0.95, 0.975, 0.99, 0.995, 1.0)


class RecalibratedHead(Head):
    """A continuous head whose cdf goes through a piecewise linear map; mass on the bounds does too."""

    continuous = True

    def __init__(self, head: Head, knots: Sequence[float]) -> None:
        """Bend ``head``: where it says ``knots`` (Q,), it shall mean ``LEVELS``.

        Raises:
            SpecError: If the head is not continuous, or the knots do not rise from 0 to 1.
        """
        if not head.continuous:
            raise SpecError(f"{type(head).__name__} cannot be recalibrated; only continuous variables can.")
        rising = all(a < b for a, b in pairwise(knots))
        if len(knots) != len(LEVELS) or not rising or knots[0] != 0.0 or knots[-1] != 1.0:
            raise SpecError(
                f"knots of a recalibration are {list(knots)}; allowed: {len(LEVELS)} that rise from 0 to 1."
            )
        self.head, self.width, self.atoms = head, head.width, head.atoms
        self._said = torch.tensor(knots, dtype=torch.float64)
        self._meant = torch.tensor(LEVELS, dtype=torch.float64)

    def _bent(self, probability: Tensor) -> tuple[Tensor, Tensor]:
        """R of probabilities (...) and its slope there."""
        return _through(probability, self._said, self._meant)

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log density inside, log of the bent mass on bounds that have some."""
        said = self.head.log_prob(params, value, last)
        found = said + self._bent(self.head.cdf(params, value, last))[1].log()
        for atom in self.atoms:
            mass = said.exp().clamp(max=1.0)
            bent = self._bent(mass)[0] if atom < 0.0 else 1.0 - self._bent(1.0 - mass)[0]
            found = torch.where(value <= atom if atom < 0.0 else value >= atom, bent.clamp_min(1e-7).log(), found)
        return found

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value)."""
        return self._bent(self.head.cdf(params, value, last))[0]

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """The head's quantile of what it says where it shall mean ``u``."""
        said = _through(u, self._meant, self._said)[0].clamp(1e-7, 1.0 - 1e-7)
        return self.head.icdf(params, said, last)

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """The head's own mean: what is bent alike in all heads does not set them apart."""
        return self.head.mean(params, last)


def _through(x: Tensor, knots: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Piecewise linear map of ``x`` (...) in [0, 1] through knots (Q,) to values (Q,), and its slope (...)."""
    knots, values = knots.to(x), values.to(x)
    piece = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    left, right = knots[piece - 1], knots[piece]
    low, high = values[piece - 1], values[piece]
    slope = (high - low) / (right - left)
    return low + slope * (x - left), slope
