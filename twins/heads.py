"""How is the next value of one variable distributed: an exact density, cdf and inverse cdf for each variable kind?

Legend of shapes: ... = any leading axes, P = parameters of one variable, K = mixture components.
A continuous variable without an atom is predicted as a *change*, in typical changes, from its last value, or relative
to it; all others, and whatever was never seen before (``last`` is NaN, as at birth), as a level.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from twingym.twins.bin_head import QuantileBinHead
from twingym.twins.discrete_heads import BinaryHead, CategoryHead, CountHead, LevelHead
from twingym.twins.head import Head
from twingym.twins.variables import Variable

COMPONENTS = 4
BISECTIONS = 22
# Component scales between 1/50 and 20 typical changes keep the likelihood bounded.
LOG_SCALE_RANGE = (math.log(0.02), math.log(20.0))
# Unit on [-1, 1] of a level that nothing is known about.
LEVEL_UNIT = 0.5


def head_for(variable: Variable) -> Head | None:
    """Return the head for a variable's kind; none for amounts of events, see twins/amounts.py."""
    if variable.amount_of:
        return None
    if variable.edges:
        return QuantileBinHead(variable.to_unit(np.array(variable.edges)).tolist(), variable.unit_change)
    if variable.has_zero_atom:
        return ZeroInflatedHead(variable.unit_change)
    if variable.kind == "continuous":
        return RelativeHead(variable) if variable.relative else ChangeHead(variable.unit_change)
    if variable.kind in ("binary", "event"):
        return BinaryHead(absorbing=variable.absorbing)
    if variable.recurrent:
        return LevelHead(variable.level_count)  # of the first observation; see twins/recurrent.py for all others
    if variable.kind == "count":
        return CountHead(variable.level_count)
    return CategoryHead(variable.level_count)


def _mixture(params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split (..., 3K) into log weights, centres and log scales, each (..., K)."""
    logits, centre, raw = params.chunk(3, dim=-1)
    low, high = LOG_SCALE_RANGE
    return F.log_softmax(logits, dim=-1), centre, low + (high - low) * torch.sigmoid(raw)


def _mixture_log_density(params: Tensor, z: Tensor) -> Tensor:
    log_weight, centre, log_scale = _mixture(params)
    s = (z[..., None] - centre) * torch.exp(-log_scale)
    return torch.logsumexp(log_weight - log_scale + F.logsigmoid(s) + F.logsigmoid(-s), dim=-1)


def _mixture_cdf(params: Tensor, z: Tensor) -> Tensor:
    log_weight, centre, log_scale = _mixture(params)
    return (log_weight.exp() * torch.sigmoid((z[..., None] - centre) * torch.exp(-log_scale))).sum(-1)


def _mixture_log_mass(params: Tensor, z: Tensor, above: bool) -> Tensor:
    """Log of the mixture's mass (...) below ``z``, or above it: precise far out in the tails."""
    log_weight, centre, log_scale = _mixture(params)
    s = (z[..., None] - centre) * torch.exp(-log_scale)
    return torch.logsumexp(log_weight + F.logsigmoid(-s if above else s), dim=-1)


def _mixture_icdf(params: Tensor, u: Tensor) -> Tensor:
    """Invert the mixture's cdf by bisection between its components' own quantiles, which bracket it."""
    log_weight, centre, log_scale = _mixture(params)
    weight, scale = log_weight.exp(), log_scale.exp()
    quantiles = centre + scale * torch.log(u / (1.0 - u))[..., None]  # (..., K)
    low, high = quantiles.amin(-1), quantiles.amax(-1)
    inverse, offset = 1.0 / scale, centre / scale
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        below = (weight * torch.sigmoid(middle[..., None] * inverse - offset)).sum(-1) < u
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


class ChangeHead(Head):
    """A mixture of logistics on the change since the last value; mass beyond the bounds sits on them."""

    continuous = True
    atoms = (-1.0, 1.0)

    def __init__(self, unit_change: float) -> None:
        """Use ``unit_change`` (typical change on [-1, 1]) as the unit of the mixture."""
        self.width = 3 * COMPONENTS
        self.unit = unit_change

    def _place(self, value: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Where values (...) stand in the mixture, and the log derivative of that: changes, or levels if none known."""
        known = torch.isfinite(last)
        unit = torch.where(known, self.unit, LEVEL_UNIT)
        return (value - torch.where(known, last, 0.0)) / unit, -unit.log()

    def _value(self, z: Tensor, last: Tensor) -> Tensor:
        """The inverse of :meth:`_place`."""
        known = torch.isfinite(last)
        return torch.where(known, last, 0.0) + torch.where(known, self.unit, LEVEL_UNIT) * z

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log density inside the bounds, log tail mass on them."""
        z, log_slope = self._place(value, last)
        inside = _mixture_log_density(params, z) + log_slope
        below = _mixture_cdf(params, z)
        on_low, on_high = value <= -1.0, value >= 1.0
        tail = torch.log(torch.where(on_low, below, 1.0 - below).clamp_min(1e-7))
        return torch.where(on_low | on_high, tail, inside)

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value)."""
        return torch.where(value >= 1.0, 1.0, _mixture_cdf(params, self._place(value, last)[0]))

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Quantile, clipped to the bounds."""
        return self._value(_mixture_icdf(params, u), last).clamp(-1.0, 1.0)

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Mean change, in typical changes."""
        logits, centre, _ = params.chunk(3, dim=-1)
        # A softmax by hand: torch's own is slow over a handful of components, and every head is asked at every step.
        weight = torch.exp(logits - logits.amax(-1, keepdim=True))
        return (weight * centre).sum(-1) / weight.sum(-1)


class RelativeHead(ChangeHead):
    """A mixture of logistics on the change of a positive amount relative to its last value; the rest as its parent.

    What multiplies an amount is often nearly normal, and its mean is that of the amount. On the logarithm it is not: a
    dose that nearly ends something stretches the lower tail, and means of exponentials follow the upper one.
    """

    def __init__(self, variable: Variable) -> None:
        """Predict the variable, declared on a plain logarithmic scale."""
        super().__init__(variable.unit_change)
        self.rate = 0.5 * variable.scaling.log_span  # log amounts per unit of [-1, 1]

    def _place(self, value: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Where values (...) stand in the mixture, and the log derivative of that."""
        known = torch.isfinite(last)
        apart = value - torch.where(known, last, value)
        grown = torch.expm1(self.rate * apart) / (self.rate * self.unit)
        slope = self.rate * apart - math.log(self.unit)
        return (
            torch.where(known, grown, value / LEVEL_UNIT),
            torch.where(known, slope, -math.log(LEVEL_UNIT)),
        )

    def _value(self, z: Tensor, last: Tensor) -> Tensor:
        """The inverse of :meth:`_place`."""
        known = torch.isfinite(last)
        factor = (1.0 + self.rate * self.unit * z).clamp_min(1e-12)
        return torch.where(known, torch.nan_to_num(last) + factor.log() / self.rate, LEVEL_UNIT * z)


class ZeroInflatedHead(Head):
    """An atom at zero (-1 on the scale) and a mixture of logistics on the level above it.

    As of :class:`ChangeHead`, mass of the mixture beyond the bounds sits on them.
    """

    continuous = True
    atoms = (-1.0, 1.0)

    def __init__(self, unit_change: float) -> None:
        """Use ``unit_change`` (on [-1, 1]) as the unit of the mixture."""
        self.width = 1 + 3 * COMPONENTS
        self.unit = unit_change

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log probability of the bounds, log density between them."""
        odds, mixture, z = params[..., 0], params[..., 1:], value / self.unit
        there, low, high = F.logsigmoid(odds), value <= -1.0, value >= 1.0
        inside = there + _mixture_log_density(mixture, z) - math.log(self.unit)
        below = torch.logaddexp(F.logsigmoid(-odds), there + _mixture_log_mass(mixture, z, above=False))
        beyond = there + _mixture_log_mass(mixture, z, above=True)
        return torch.where(low, below, torch.where(high, beyond, inside))

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value)."""
        positive = torch.sigmoid(params[..., 0])
        above = _mixture_cdf(params[..., 1:], value / self.unit)
        return torch.where(value >= 1.0, 1.0, 1.0 - positive + positive * above)

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Zero up to the atom's mass, then the mixture's quantile, clipped to the bounds."""
        positive = torch.sigmoid(params[..., 0])
        above = u > 1.0 - positive
        share = ((u - 1.0 + positive) / positive.clamp_min(1e-9)).clamp(1e-7, 1.0 - 1e-7)
        level = self.unit * _mixture_icdf(params[above][..., 1:], share[above])
        return torch.full_like(u, -1.0).masked_scatter(above, level.clamp(-1.0, 1.0))

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Probability of a positive value: what the heads can differ most about."""
        nothing = params.new_full(params.shape[:-1], -1.0 / self.unit)
        return torch.sigmoid(params[..., 0]) * (1.0 - _mixture_cdf(params[..., 1:], nothing))
