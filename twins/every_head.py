"""What does every head of an ensemble say about one step of some people?

Legend of shapes: B = people, M = ensemble heads, D = modelled variables, P = parameters of one variable, F = features
of a token, K = affected variables: activity, and amounts of recurrent events.
"""

from __future__ import annotations

import torch
from torch import Tensor

from twingym.twins.network import TwinNetwork
from twingym.twins.stacked_heads import Features, StackedHeads


class EveryHead:
    """All heads on one trunk output; ask for the variables' parameters in declared order."""

    def __init__(self, network: TwinNetwork, hidden: Tensor, tokens: Tensor, last: Tensor, heads: StackedHeads) -> None:
        """Let the heads of a network speak.

        Args:
            network: Whose heads.
            hidden: Trunk output, (B, D_model).
            tokens: What went into the trunk, (B, F).
            last: Values before, NaN where there were none, (B, D).
            heads: Those of the trunk, stacked.
        """
        self._network, self._tokens, self._last, self._heads = network, tokens, last, heads
        self._features, self._linear = heads.block(hidden), network.linear(tokens)

    def params(self, k: int, drawn: Tensor) -> Tensor:
        """Parameters (M, B, P) of variable k, given what was ``drawn`` before it, (B, k)."""
        told = self._network.told(drawn, k, self._last)
        shared = self._network.shared(k, self._linear, told)
        return self._heads.params(self._features, k, told) + shared

    def effects(self, rows: Tensor | None = None) -> Tensor:
        """Return what treatment does to each affected variable, of all people, (B, M, K), or of some ``rows``, (S,)."""
        layout, affected = self._network.layout, self._network.affected
        features, done = self._features, layout.done(self._tokens)
        linear = [self._linear[k][..., -layout.acting :] for k in affected] if self._linear else []
        if rows is not None:
            features, done = Features(features.z.index_select(1, rows)), done.index_select(0, rows)
            linear = [each.index_select(-2, rows) for each in linear]
        say = self._heads.tails(features)  # (M, K * acting, S)
        if linear:
            say = say + torch.cat(linear, dim=-1).mT
        each = say.unflatten(1, (len(affected), -1))  # (M, K, acting, S)
        return self._network.effect(each, done.T, dim=2).permute(2, 0, 1)
