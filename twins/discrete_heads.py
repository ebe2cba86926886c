"""How are yes or no, one of several levels, and counts distributed? Heads as in :mod:`twingym.twins.heads`.

Legend of shapes: ... = any leading axes, P = parameters of one variable, L = levels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from twingym.twins.head import Head

LOG_SHAPE_RANGE = (-5.0, 5.0)  # of counts: from logarithmic to Poisson
LOG_MEAN_RANGE = (-12.0, 4.0)


class BinaryHead(Head):
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


class LevelHead(Head):
    """A probability for each of L levels."""

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


class CategoryHead(LevelHead):
    """A probability for each of L categories, whose order says nothing: it decides which luck draws which, no more."""

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Probability that it stays what it was last, or is the first category if there was none: no order in it."""
        index = self._index(torch.nan_to_num(last, nan=-1.0)).expand(params.shape[:-1])
        # A softmax by hand, as in the mean of ``ChangeHead``.
        weight = torch.exp(params - params.amax(-1, keepdim=True))
        return weight.gather(-1, index[..., None])[..., 0] / weight.sum(-1)


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

    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """The first count whose cumulative probability reaches u."""
        # Most draw a zero, which needs none of the other levels.
        some = torch.isnan(last) | (u > _none(*_count_params(params)).exp())
        return torch.full_like(u, -1.0).masked_scatter(some, super().icdf(params[some], u[some], last[some]))

    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Mean count."""
        odds, log_mean, _ = _count_params(params)
        last = last.expand(odds.shape)  # heads of an ensemble share it
        born = torch.isnan(last)
        return torch.exp(F.logsigmoid(odds) + log_mean).masked_scatter(born, super().mean(params[born], last[born]))


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
