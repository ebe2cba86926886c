"""What did every head of an ensemble expect of a step?

Heads that are compared at each step have been asked already. Where doubt was taught, only the head that each person is
bound to speaks in a step; what the others would have said can be worked out later.

Legend of shapes: B = people, M = ensemble heads, D = modelled variables, F = features of a token.
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
    """

    hidden: Tensor
    tokens: Tensor
    last: Tensor
    drawn: Tensor

    def means(self, network: TwinNetwork, heads: StackedHeads) -> Tensor:
        """Return means (M, B, D) in typical changes, levels or probability."""
        every = EveryHead(network, self.hidden, self.tokens, self.last, heads)
        found = []
        for k, distribution in enumerate(network.distributions):
            assert distribution is not None
            say = every.params(k, self.drawn[:, :k])[..., : distribution.width]
            found.append(distribution.mean(say, self.last[:, k]))  # (M, B)
        return torch.stack(found, dim=-1)
