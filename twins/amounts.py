"""How much do events come to: a person's amounts have a size of their own, hidden, that every one seen makes plainer.

An event's amount is Gamma about the person's size, and sizes are inverse Gamma between people (Gamma-Gamma: Fader and
Hardie 2013, note 25; Colombo and Jiang 1999, Marketing Science 18:2). What several events come to together is Gamma
too, and what is expected given all that was seen has a closed form. Treatment may multiply the amounts of its own step.
A network that learns from courses how large a person's amounts are also learns, by chance, how they seem to change with
past treatment: a percent or two, for which an agent would treat those who spend most.

Legend of shapes: ... = any leading axes, B = people, M = ensemble heads, A = amounts, F = traits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.special import gammaincinv
from torch import Tensor, nn

from twingym.twins.scales import Scale
from twingym.twins.tensors import Tensors

LEAST = 1e-12
ABOVE_ZERO = 1e-6  # on [-1, 1]


@dataclass(frozen=True)
class Purse(Tensors):
    """What every ensemble head knows of the size of a person's amounts.

    Attributes:
        events: Events whose amounts were seen, (..., A).
        total: What they came to, each divided by the factor that treatment put on it, (..., M, A).
    """

    events: Tensor
    total: Tensor

    @classmethod
    def empty(cls, people: int, heads: int, amounts: int) -> Purse:
        """Nothing was seen yet."""
        return cls(torch.zeros(people, amounts), torch.zeros(people, heads, amounts))


class EventAmounts(nn.Module):
    """The distribution of what a step's events come to, given what was seen of a person. Amounts are in knees."""

    def __init__(self, scales: Sequence[Scale], traits: int, heads: int) -> None:
        """Prepare for amounts on these log scales from 0, ``traits`` features and an ensemble of ``heads``."""
        super().__init__()
        self.spans = tuple(scale.log_span for scale in scales)
        count = len(self.spans)
        self.log_shape = nn.Parameter(torch.zeros(heads, count))  # of the amount of one event
        self.log_prior = nn.Parameter(torch.tensor([2.0, 1.0]).log().repeat(heads, count, 1))  # shape and rate
        self.tilt = nn.Parameter(torch.zeros(heads, count, traits))

    def amount(self, value: Tensor) -> Tensor:
        """Amounts (..., A) of values (..., A) on [-1, 1]."""
        return torch.expm1(0.5 * (value + 1.0) * value.new_tensor(self.spans))

    def value(self, a: int, amount: Tensor) -> Tensor:
        """Values (...) on (-1, 1] of amounts (...) of kind a."""
        return (2.0 * torch.log1p(amount) / self.spans[a] - 1.0).clamp(-1.0 + ABOVE_ZERO, 1.0)

    def posterior(self, purse: Purse, traits: Tensor) -> tuple[Tensor, Tensor]:
        """Shape and rate (..., M, A) of the Gamma distribution of one over a person's size; traits are (..., F)."""
        first, second = self.log_prior.exp().unbind(-1)
        tilt = (traits[..., None, None, :] * self.tilt).sum(-1)  # not a product: it rounds alike in any batch
        return first + self.log_shape.exp() * purse.events[..., None, :], second * tilt.exp() + purse.total

    def take_in(self, purse: Purse, effect: Tensor, events: Tensor, value: Tensor) -> Purse:
        """Return the purse after ``events`` came to ``value`` in a step; see :meth:`seen`."""
        events, total = self.seen(effect, events, value)
        return Purse(purse.events + events, purse.total + total)

    def seen(self, effect: Tensor, events: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Events that tell something (..., A), and what they came to without treatment (..., M, A).

        Args:
            effect: Log factors on the amounts of the step, (..., M, A).
            events: How many events there were, where they and their amount are known, else 0, (..., A).
            value: Their amount on [-1, 1], (..., A). Events that came to nothing tell nothing.
        """
        events = events * (value > -1.0)
        return events, self.amount(value)[..., None, :] * (events > 0.0)[..., None, :] * torch.exp(-effect)

    def log_prob(self, effect: Tensor, events: Tensor, value: Tensor, traits: Tensor) -> Tensor:
        """Log density of whole courses on the scale, each amount given those before it; zero where none is known.

        Args:
            effect: Log factors, (B, T, M, A).
            events: See :meth:`seen`, (B, T, A).
            value: Likewise.
            traits: Encoded traits, (B, T, F).

        Returns:
            Shape (B, T, M, A).
        """
        events, total = self.seen(effect, events, value)
        before = Purse(events.cumsum(1) - events, total.cumsum(1) - total)
        prior, rate = self.posterior(before, traits)
        some = (events > 0.0)[..., None, :].expand(effect.shape).nonzero(as_tuple=True)  # S of them, rarely
        own = (self.log_shape.exp() * events[..., None, :])[some]
        prior, rate, amount = prior[some], rate[some], total[some]  # (S,) each
        of_one = torch.lgamma(own + prior) - torch.lgamma(own) - torch.lgamma(prior)
        log_density = of_one + (own - 1.0) * amount.log() + prior * rate.log() - (own + prior) * (rate + amount).log()
        span = effect.new_tensor(self.spans)
        stretch = 0.5 * (value + 1.0) * span + torch.log(0.5 * span)  # (B, T, A), of the scale
        log_density = log_density - effect[some] + stretch[..., None, :].expand(effect.shape)[some]
        return torch.zeros_like(effect).index_put(some, log_density)

    def draw_sizes(self, purse: Purse, traits: Tensor, head: Tensor, u: Tensor) -> Tensor:
        """Draw the sizes of people's amounts (B, A) from what ``head`` (B,) knows, at uniforms (B, A)."""
        rows = torch.arange(len(head))
        shape, rate = (x[rows, head] for x in self.posterior(purse, traits))
        return rate / _gamma(shape, u).clamp_min(LEAST)

    def draw(self, a: int, head: Tensor, events: Tensor, size: Tensor, u: Tensor) -> Tensor:
        """Draw values (B,) on [-1, 1] of what ``events`` (B,) of kind a and of this ``size`` (B,) come to."""
        some = events.nonzero()[:, 0]
        drawn = size[some] * _gamma(self.log_shape.exp()[head[some], a] * events[some], u[some])
        return torch.full_like(u, -1.0).index_copy(0, some, self.value(a, drawn))

    def typical(self, a: int, purse: Purse, effect: Tensor, events: Tensor, traits: Tensor) -> Tensor:
        """What each head expects ``events`` (B,) to come to, about the middle, as values (B, M) on [-1, 1]."""
        rows, none = events.nonzero()[:, 0], torch.full_like(effect[..., a], -1.0)
        shape, rate = (x[..., a] for x in self.posterior(purse.each(lambda tensor: tensor[rows]), traits[rows]))
        amount = self.log_shape.exp()[:, a] * events[rows, None] * rate / shape * effect[rows, :, a].exp()
        return none.index_copy(0, rows, self.value(a, amount))


def _gamma(shape: Tensor, u: Tensor) -> Tensor:
    """Quantiles of the Gamma distributions of these shapes and rate 1."""
    return torch.from_numpy(gammaincinv(shape.double().numpy(), u.double().numpy())).to(u.dtype)
