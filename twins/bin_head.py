"""How is a bounded or zero-inflated value distributed, if no shape can be assumed: a probability for each bin.

Bins are declared (:meth:`~twingym.twins.variables.Variable.binned`), best at quantiles of recorded values, and values
are uniform within one, so that density, cdf and quantile are exact, where midpoints would spread too little. Both
bounds have probability of their own. Levels are predicted, not changes. Quantile bins for trajectories: Janner, Li &
Levine 2021, "Offline reinforcement learning as one big sequence modeling problem", NeurIPS.

Legend of shapes: ... = any leading axes, L = bins, P = L + 2 parameters: the lower bound, L bins, the upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from twingym.twins.head import Head

NEAREST = 1e-6  # to a bound, for what is not on it


class QuantileBinHead(Head):
    """Probabilities of the lower bound, of L bins, and of the upper bound."""

    continuous = True
    atoms = (-1.0, 1.0)

    def __init__(self, edges: Sequence[float], unit_change: float) -> None:
        """Part [-1, 1] at inner ``edges`` (L - 1,); ``unit_change`` is what heads are compared in."""
        ends = np.array([-1.0, *edges, 1.0])
        self.width, self.unit = len(edges) + 3, unit_change
        # Where each slot begins and how wide it is, the bounds as slots of no width.
        self._begin = torch.tensor([-1.0, *ends[:-1], 1.0], dtype=torch.float64)  # (P,)
        self._span = torch.tensor([0.0, *np.diff(ends), 0.0], dtype=torch.float64)  # (P,)
        self._inner = torch.tensor(ends[1:-1], dtype=torch.float64)

    def _slot(self, value: Tensor) -> Tensor:
        """Which parameter each value (...) belongs to."""
        slot = 1 + torch.searchsorted(self._inner.to(value), value.contiguous())
        return torch.where(value <= -1.0, 0, torch.where(value >= 1.0, self.width - 1, slot))

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log probability of the bound, or of the bin less the log of its width."""
        slot = self._slot(value)
        inside = (slot > 0) & (slot < self.width - 1)
        width = torch.where(inside, self._span.to(params)[slot], 1.0)
        return F.log_softmax(params, dim=-1).gather(-1, slot[..., None])[..., 0] - width.log()

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value): all slots below, and a share of the one that it is in."""
        slot, mass = self._slot(value), F.softmax(params, dim=-1)
        inside = (slot > 0) & (slot < self.width - 1)
        span = torch.where(inside, self._span.to(params)[slot], 1.0)
        share = torch.where(inside, (value - self._begin.to(params)[slot]) / span, 1.0)
        here = mass.gather(-1, slot[..., None])[..., 0]
        below = mass.cumsum(-1).gather(-1, slot[..., None])[..., 0] - here
        return torch.where(value >= 1.0, 1.0, (below + here * share).clamp(0.0, 1.0))

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """The place in the first slot whose cumulative probability reaches u."""
        mass = F.softmax(params, dim=-1)
        total = mass.cumsum(-1)
        slot = (total < u[..., None]).sum(-1).clamp(max=self.width - 1)
        here, above = mass.gather(-1, slot[..., None])[..., 0], total.gather(-1, slot[..., None])[..., 0]
        share = (1.0 - (above - u) / here.clamp_min(1e-12)).clamp(0.0, 1.0)
        value = self._begin.to(params)[slot] + self._span.to(params)[slot] * share
        inside = (slot > 0) & (slot < self.width - 1)
        return torch.where(inside, value.clamp(-1.0 + NEAREST, 1.0 - NEAREST), value)

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Mean level, in typical changes."""
        middle = (self._begin + 0.5 * self._span).to(params)
        return (F.softmax(params, dim=-1) * middle).sum(-1) / self.unit
