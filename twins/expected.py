"""What did every head of an ensemble expect of a step?

Heads that are compared at each step have been asked already. Where doubt was taught, only the head that each person is
bound to speaks in a step; what the others would have said can be worked out later.

Legend of shapes: B = people, M = ensemble heads, D = modelled variables, F = features of a token, C = recurrent
counts, A = amounts of their events.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from twingym.twins.every_head import EveryHead
from twingym.twins.network import TwinNetwork
from twingym.twins.stacked_heads import StackedHeads
from twingym.twins.tensors import Tensors


@dataclass(frozen=True)
class Expected(Tensors):
    """What heads expected, known or still to be worked out."""

    @abstractmethod
    def means(self, network: TwinNetwork, heads: StackedHeads) -> Tensor:
        """Return means (M, B, D) in typical changes, levels or probability."""


@dataclass(frozen=True)
class Known(Expected):
    """What heads have said.

    Attributes:
        by_person: Means, (B, M, D).
    """

    by_person: Tensor

    def means(self, network: TwinNetwork, heads: StackedHeads) -> Tensor:
        """Return means (M, B, D) in typical changes, levels or probability."""
        return self.by_person.transpose(0, 1)


@dataclass(frozen=True)
class Moment(Expected):
    """A step, as far as heads have to know of it to say what they expect.

    Attributes:
        hidden: Trunk output, (B, D_model).
        tokens: What went into the trunk, (B, F).
        last: Values before, NaN where there were none, (B, D).
        drawn: Values that were drawn, on [-1, 1], (B, D): of a variable is expected what goes with those before it.
        counted: What was expected of recurrent counts and of their amounts, (B, M, C + A); NaN of counts at birth,
            which do not recur yet.
    """

    hidden: Tensor
    tokens: Tensor
    last: Tensor
    drawn: Tensor
    counted: Tensor

    def means(self, network: TwinNetwork, heads: StackedHeads) -> Tensor:
        """Return means (M, B, D) in typical changes, levels or probability."""
        every = EveryHead(network, self.hidden, self.tokens, self.last, heads)
        counted = dict(zip(network.counted, self.counted.permute(2, 1, 0), strict=True))
        unknown, found = self.hidden.new_full((heads.count, len(self.hidden)), torch.nan), []
        for k, distribution in enumerate(network.distributions):
            means = counted.get(k, unknown)  # (M, B)
            if distribution is not None and torch.isnan(means).any():
                say = every.params(k, self.drawn[:, :k])[..., : distribution.width]
                means = torch.where(torch.isnan(means), distribution.mean(say, self.last[:, k]), means)
            found.append(means)
        return torch.stack(found, dim=-1)
