"""What does every head of an ensemble say about one step of some people?

Legend of shapes: B = people, M = ensemble heads, D = modelled variables, P = parameters of one variable, F = features
of a token, K = affected variables: activity, and amounts of recurrent events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from twingym.twins.stacked_heads import StackedHeads

if TYPE_CHECKING:
    from twingym.twins.network import TwinNetwork


class EveryHead:
    """All heads on one trunk output; ask for the variables' parameters in declared order."""

    def __init__(
        self, network: TwinNetwork, hidden: Tensor, tokens: Tensor, last: Tensor, heads: StackedHeads | None = None
    ) -> None:
        """Let the heads of a network speak.

        Args:
            network: Whose heads.
            hidden: Trunk output, (B, D_model).
            tokens: What went into the trunk, (B, F).
            last: Values before, NaN where there were none, (B, D).
            heads: Those of the trunk, stacked once for many steps; None stacks them now.
        """
        self._network, self._tokens, self._last = network, tokens, last
        self._heads = heads or network.stacked()
        self._features, self._linear = self._heads.block(hidden), network.linear(tokens)  # (M, B, D_model)
        self._active = self._heads.active(self._features)

    def params(self, k: int, drawn: Tensor) -> Tensor:
        """Parameters (M, B, P) of variable k, given what was ``drawn`` before it, (B, k)."""
        told = self._network.told(drawn, k, self._last)
        shared = self._network.shared(k, self._linear, told)
        return self._heads.params(self._features, k, told, self._active) + shared

    def effects(self) -> Tensor:
        """Effects (B, M, K) of what is done in this step."""
        layout, affected = self._network.layout, self._network.affected
        say = self._heads.tails(self._active)  # (M, K * acting, B)
        if self._linear:
            say = say + torch.cat([self._linear[k][..., -layout.acting :] for k in affected], dim=-1).mT
        return self._network.effect(say.unflatten(1, (len(affected), -1)), layout.done(self._tokens).T, dim=2).permute(
            2, 0, 1
        )
