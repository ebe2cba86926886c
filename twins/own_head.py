"""What does the head that each person is bound to say about one step, at little more than the price of a single head?

Legend of shapes: B = people, M = ensemble heads, G = most people of one head, P = parameters of one variable,
F = features of a token, D = modelled variables.
"""

from __future__ import annotations

import torch
from torch import Tensor

from twingym.twins.company import LEAST_ROWS
from twingym.twins.network import TwinNetwork
from twingym.twins.stacked_heads import StackedHeads


class OwnHead:
    """Everybody's own head on one trunk output; ask for the variables' parameters in declared order."""

    def __init__(
        self, network: TwinNetwork, hidden: Tensor, tokens: Tensor, last: Tensor, bound: Tensor, heads: StackedHeads
    ) -> None:
        """Let each head of a network speak of those who are bound to it.

        Args:
            network: Whose heads.
            hidden: Trunk output, (B, D_model).
            tokens: What went into the trunk, (B, F).
            last: Values before, NaN where there were none, (B, D).
            bound: Head of each person, (B,).
            heads: Those of the trunk, stacked.
        """
        self._network, self._last, self._bound, self._heads = network, last, bound, heads
        self._seats, self._place = seated(bound, heads.count)
        self._features, self._linear = heads.block(self._at_seats(hidden)), network.linear(tokens)

    def params(self, k: int, drawn: Tensor) -> Tensor:
        """Parameters (B, P) of variable k, given what was ``drawn`` before it, (B, k)."""
        told = self._network.told(drawn, k, self._last)
        shared = self._network.shared(k, self._linear, told)
        if isinstance(shared, Tensor) and shared.ndim > drawn.ndim:  # a path for each head, (M, B, P)
            shared = shared[self._bound, torch.arange(len(self._bound), device=self._bound.device)]
        say = self._heads.params(self._features, k, self._at_seats(told))  # (M, G, P)
        return say.flatten(0, 1).index_select(0, self._place) + shared

    def _at_seats(self, people: Tensor) -> Tensor:
        """Sort rows of people (B, ...) by head, (M, G, ...)."""
        # Many times as fast as indexing.
        return people.index_select(0, self._seats.flatten()).view(*self._seats.shape, *people.shape[1:])


def seated(bound: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Seat people at the heads they are ``bound`` to, (B,).

    Returns:
        Who sits where, (M, G), the first person on seats that stay free, and everybody's place among M times G, (B,).
    """
    everybody = torch.arange(len(bound), device=bound.device)
    upto = (bound == torch.arange(heads, device=bound.device)[:, None]).cumsum(dim=1)  # (M, B)
    seats = max(int(upto[:, -1].max()), LEAST_ROWS)
    place = bound * seats + upto[bound, everybody] - 1
    return place.new_zeros(heads * seats).index_copy_(0, place, everybody).view(heads, seats), place
