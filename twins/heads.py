"""How is the next value of one variable distributed: an exact density, cdf and inverse cdf for each variable kind?

Legend of shapes: ... = any leading axes, P = parameters of one variable, K = mixture components, L = levels.
A continuous variable without an atom is predicted as a *change*, in typical changes, from its last value; all others,
and whatever was never seen before (``last`` is NaN, as at birth), as a level.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from twingym.twins.variables import Variable

COMPONENTS = 4
BISECTIONS = 22
# Component scales between 1/50 and 20 typical changes keep the likelihood bounded.
LOG_SCALE_RANGE = (math.log(0.02), math.log(20.0))
LOG_SHAPE_RANGE = (-5.0, 5.0)  # of counts: from logarithmic to Poisson
LOG_MEAN_RANGE = (-12.0, 4.0)
# Unit on [-1, 1] of a level that nothing is known about.
LEVEL_UNIT = 0.5


class Head(Protocol):
    """The distribution of one variable's next value on the [-1, 1] scale."""

    width: int

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Return log densities or probabilities (...) of ``value`` (...) given parameters (..., P)."""
        ...

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Return P(next <= value), shape (...)."""
        ...

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Return the value (...) whose cdf first reaches ``u`` (...): a sample, if u is uniform."""
        ...

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Return the mean (...) in typical changes (continuous) or levels: what heads are compared by."""
        ...


def head_for(variable: Variable) -> Head:
    """Return the head for a variable's kind."""
    if variable.has_zero_atom:
        return ZeroInflatedHead(variable.unit_change)
    if variable.kind == "continuous":
        return ChangeHead(variable.unit_change)
    if variable.kind in ("binary", "event"):
        return BinaryHead(absorbing=variable.absorbing)
    if variable.kind == "count":
        return CountHead(variable.level_count)
    return LevelHead(variable.level_count)


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


class ChangeHead:
    """A mixture of logistics on the change since the last value; mass beyond the bounds sits on them."""

    def __init__(self, unit_change: float) -> None:
        """Use ``unit_change`` (typical change on [-1, 1]) as the unit of the mixture."""
        self.width = 3 * COMPONENTS
        self.unit = unit_change

    def _frame(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Origin and unit (...) of the mixture: the last value and a typical change, or a level if there is none."""
        known = torch.isfinite(last)
        return torch.where(known, last, 0.0), torch.where(known, self.unit, LEVEL_UNIT)

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log density inside the bounds, log tail mass on them."""
        origin, unit = self._frame(last)
        z = (value - origin) / unit
        inside = _mixture_log_density(params, z) - unit.log()
        below = _mixture_cdf(params, z)
        on_low, on_high = value <= -1.0, value >= 1.0
        tail = torch.log(torch.where(on_low, below, 1.0 - below).clamp_min(1e-7))
        return torch.where(on_low | on_high, tail, inside)

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value)."""
        origin, unit = self._frame(last)
        return torch.where(value >= 1.0, 1.0, _mixture_cdf(params, (value - origin) / unit))

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Quantile, clipped to the bounds."""
        origin, unit = self._frame(last)
        return (origin + unit * _mixture_icdf(params, u)).clamp(-1.0, 1.0)

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Mean change, in typical changes."""
        log_weight, centre, _ = _mixture(params)
        return (log_weight.exp() * centre).sum(-1)


class ZeroInflatedHead:
    """An atom at zero (-1 on the scale) and a mixture of logistics on the level above it."""

    def __init__(self, unit_change: float) -> None:
        """Use ``unit_change`` (on [-1, 1]) as the unit of the mixture."""
        self.width = 1 + 3 * COMPONENTS
        self.unit = unit_change

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log probability of the atom, or log density above it."""
        above = value > -1.0
        density = _mixture_log_density(params[above][..., 1:], value[above] / self.unit) - math.log(self.unit)
        odds = params[..., 0]
        log_prob = F.logsigmoid(torch.where(above, odds, -odds))
        # What is above is rare, and its size the costly part.
        return log_prob.masked_scatter(above, log_prob[above] + density)

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value)."""
        positive = torch.sigmoid(params[..., 0])
        above = _mixture_cdf(params[..., 1:], value / self.unit)
        return torch.where(value >= 1.0, 1.0, 1.0 - positive + positive * above)

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Zero up to the atom's mass, then the mixture's quantile."""
        positive = torch.sigmoid(params[..., 0])
        zero = u <= 1.0 - positive
        share = ((u - 1.0 + positive) / positive.clamp_min(1e-9)).clamp(1e-7, 1.0 - 1e-7)
        level = (self.unit * _mixture_icdf(params[..., 1:], share)).clamp(-1.0 + 1e-6, 1.0)
        return torch.where(zero, torch.full_like(level, -1.0), level)

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Probability of a positive value: what the heads can differ most about."""
        return torch.sigmoid(params[..., 0])


class BinaryHead:
    """A probability; the scale's -1 and 1 stand for no and yes. An absorbing variable never returns from no."""

    width = 1

    def __init__(self, *, absorbing: bool) -> None:
        """Remember whether zero is absorbing."""
        self.absorbing = absorbing

    def _yes(self, params: Tensor, last: Tensor) -> Tensor:
        yes = torch.sigmoid(params[..., 0])
        return torch.where(last < -0.5, 0.0, yes) if self.absorbing else yes

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log probability; certain, hence 0, once absorbed."""
        logit = params[..., 0]
        log_prob = torch.where(value > 0.0, F.logsigmoid(logit), F.logsigmoid(-logit))
        return torch.where(last < -0.5, 0.0, log_prob) if self.absorbing else log_prob

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value)."""
        return torch.where(value >= 1.0, 1.0, 1.0 - self._yes(params, last))

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """No up to its probability, then yes."""
        return torch.where(u > 1.0 - self._yes(params, last), 1.0, -1.0)

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Probability of yes."""
        return self._yes(params, last)


class LevelHead:
    """A probability for each of L levels (categorical variables)."""

    def __init__(self, levels: int) -> None:
        """Prepare for ``levels`` values spread evenly over [-1, 1]."""
        self.levels = self.width = levels

    def logits(self, params: Tensor, last: Tensor) -> Tensor:
        """Return the levels' log weights (..., L): here the parameters themselves."""
        return params

    def _index(self, value: Tensor) -> Tensor:
        return torch.round(0.5 * (value + 1.0) * (self.levels - 1)).long().clamp(0, self.levels - 1)

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log probability of the level."""
        return F.log_softmax(self.logits(params, last), dim=-1).gather(-1, self._index(value)[..., None])[..., 0]

    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """P(next <= value)."""
        total = F.softmax(self.logits(params, last), dim=-1).cumsum(-1)
        return total.gather(-1, self._index(value)[..., None])[..., 0].clamp(0.0, 1.0)

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """The first level whose cumulative probability reaches u."""
        total = F.softmax(self.logits(params, last), dim=-1).cumsum(-1)
        index = (total < u[..., None]).sum(-1).clamp(max=self.levels - 1)
        return 2.0 * index.to(u.dtype) / (self.levels - 1) - 1.0

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Mean level number."""
        levels = torch.arange(self.levels, dtype=params.dtype, device=params.device)
        return (F.softmax(self.logits(params, last), dim=-1) * levels).sum(-1)


class CountHead(LevelHead):
    """Counts from 0 to L - 1: negative binomial, or none for good; at birth the levels' own log weights.

    Poisson counts of people whose rates differ are negative binomial, and some of them have left: log odds of being
    there, log mean over all and log shape say all that, so what is learned of some counts holds for all. Before the
    first observation there was no counting, hence nothing of that: a first purchase may be what makes a customer.

    Source: Lambert 1992, "Zero-inflated Poisson regression", Technometrics 34:1; for the negative binomial Greene 1994,
    "Accounting for excess zeros and sample selection in Poisson and negative binomial regression models", NYU EC-94-10.
    """

    def __init__(self, levels: int) -> None:
        """Prepare for counts below ``levels``."""
        super().__init__(levels)
        self.width = 3 + levels

    def logits(self, params: Tensor, last: Tensor) -> Tensor:
        """Log probabilities (..., L) of the counts."""
        odds, log_mean, log_shape = (p[..., None] for p in _count_params(params))
        some = torch.arange(1.0, self.levels - 1.0, dtype=params.dtype, device=params.device)  # (L - 2,)
        size = F.logsigmoid(odds) + _negative_binomial(log_mean, log_shape, some)
        below = torch.cat([_none(odds, log_mean, log_shape), size], dim=-1)  # (..., L - 1)
        top = torch.log1p(-below.exp().sum(-1, keepdim=True).clamp_max(1.0 - 1e-7))
        born = F.log_softmax(params[..., 3:], dim=-1)
        return torch.where(torch.isnan(last)[..., None], born, torch.cat([below, top], dim=-1))

    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Log probability of the count."""
        index = self._index(value)
        odds, log_mean, log_shape = _count_params(params)
        # Whatever is not zero is rare, and the costly part.
        full = torch.isnan(last) | (index == self.levels - 1)
        some = (index > 0) & ~full
        size = _negative_binomial(log_mean[some], log_shape[some], index[some].to(params.dtype))
        log_prob = _none(odds, log_mean, log_shape).masked_scatter(some, F.logsigmoid(odds[some]) + size)
        levels = self.logits(params[full], last[full]).gather(-1, index[full][..., None])[..., 0]
        return log_prob.masked_scatter(full, levels)

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Mean count."""
        odds, log_mean, _ = _count_params(params)
        return torch.where(torch.isnan(last), super().mean(params, last), torch.exp(F.logsigmoid(odds) + log_mean))


def _count_params(params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log odds of being there, log mean of those who are, and log shape, each (...).

    The mean over all is the parameter: it is what data tell most about, however they divide it.
    """
    odds = params[..., 0]
    log_mean = (params[..., 1] - F.logsigmoid(odds)).clamp(*LOG_MEAN_RANGE)
    return odds, log_mean, params[..., 2].clamp(*LOG_SHAPE_RANGE)


def _none(odds: Tensor, log_mean: Tensor, log_shape: Tensor) -> Tensor:
    """Log probability (...) that nothing is counted: nobody there, or no event."""
    silent = log_shape.exp() * F.logsigmoid(log_shape - log_mean)
    return torch.logaddexp(F.logsigmoid(-odds), F.logsigmoid(odds) + silent)


def _negative_binomial(log_mean: Tensor, log_shape: Tensor, count: Tensor) -> Tensor:
    """Log probability of ``count``; all three broadcast."""
    shape = log_shape.exp()
    ways = torch.lgamma(count + shape) - torch.lgamma(shape) - torch.lgamma(count + 1.0)
    return ways + shape * F.logsigmoid(log_shape - log_mean) + count * F.logsigmoid(log_mean - log_shape)
