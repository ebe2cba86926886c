"""How do all heads of an ensemble speak at little more than the price of one?

Legend of shapes: B = people, M = ensemble heads, D = model width, U = width of a head's block, P = parameters of a
variable, E = numbers that earlier variables tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twingym.twins.company import padded_table
from twingym.twins.quick_tally import CountTable
from twingym.twins.recurrent import RecurrentEvents
from twingym.twins.transformer import EnsembleHead

_gelu_ = torch.ops.aten.gelu_  # in place: to fetch memory for this much takes longer than the function


class Features:
    """Every head's own features of people.

    Attributes:
        z: (M, B, D).
    """

    def __init__(self, z: Tensor) -> None:
        """Hold features (M, B, D)."""
        self.z = z

    @cached_property
    def active(self) -> Tensor:
        """What variables are written from that depend on no earlier ones, (M, B, D); there may be several."""
        return F.gelu(self.z)


class StackedHeads:
    """The heads of a fitted network with their weights side by side, so that a step makes one call for all of them.

    It says what each :class:`~twingym.twins.transformer.EnsembleHead` says, but for rounding: what is alike in all
    heads is computed once, and scales and shifts that meet a matrix are folded into it. It is a copy of the weights as
    they are; a network that learns on needs another.

    Attributes:
        count: M.
        table: What recurrent counts tell, if there are any.
    """

    @torch.no_grad()
    def __init__(
        self,
        modules: Iterable[nn.Module],
        affected: Sequence[int] = (),
        acting: int = 0,
        events: RecurrentEvents | None = None,
    ) -> None:
        """Stack the weights of M heads; the last ``acting`` parameters of the ``affected`` variables are effects."""
        self.table = CountTable(events) if events else None
        heads = [module for module in modules if isinstance(module, EnsembleHead)]
        self.count, gain = len(heads), heads[0].prior_gain
        # The norm's scale and shift go into the first matrix: what is left of it is the same for every head.
        self._up = _matrices(h.up for h in heads) * torch.stack([h.norm.weight for h in heads])[..., None]  # (M, D, U)
        self._up_bias = torch.stack([h.up(h.norm.bias) for h in heads])[:, None]  # (M, 1, U)
        self._prior, self._prior_bias = _matrices(h.prior[0] for h in heads), _biases(h.prior[0] for h in heads)
        self._down, self._prior_down = _matrices(h.down for h in heads), gain * _matrices(h.prior[2] for h in heads)
        self._bias = _biases(h.down for h in heads) + gain * _biases(h.prior[2] for h in heads)  # (M, 1, D)
        self._scale = torch.stack([h.norm_out.weight for h in heads])[:, None]
        self._shift = _biases(h.norm_out for h in heads)
        self._epsilon = heads[0].norm_out.eps
        self._ones, self._zeros = torch.ones(self._bias.shape[-1]), torch.zeros(self._bias.shape[-1])

        # What follows is only used centred, so that people's features have mean zero, and their norm is a length.
        self._down, self._prior_down, self._bias = (_centred(w) for w in (self._down, self._prior_down, self._bias))
        by_variable = list(zip(*(h.write for h in heads), strict=True))
        # Products with few columns are fastest the other way round, and so is what is made of their results.
        write = [_matrices(layers).mT for layers in by_variable]  # (M, P, D) each
        bias = [_biases(layers).mT for layers in by_variable]
        self._widths, self._tail = [each.shape[1] for each in write], acting * len(affected)
        self._write, self._bias_of = [padded_table(w) for w in write], [padded_table(b) for b in bias]
        if affected:
            self._tails = padded_table(torch.cat([write[v][:, -acting:] for v in affected], dim=1))
            self._tails_bias = padded_table(torch.cat([bias[v][:, -acting:] for v in affected], dim=1))
        self._earlier = [  # (M, E, D) each
            _matrices(layers) if isinstance(layers[0], nn.Linear) else None
            for layers in zip(*(h.earlier for h in heads), strict=True)
        ]

    def block(self, h: Tensor) -> Features:
        """Trunk output, (B, D) or (M, B, D) of other people for each head, to every head's own features."""
        shared = (self.count, *h.shape[-2:])
        normed = self._norm(h).expand(shared)
        x = _centred(h) + self._bias  # (M, B, D)
        x.baddbmm_(_gelu_(torch.baddbmm(self._up_bias, normed, self._up)), self._down)
        x.baddbmm_(_gelu_(torch.baddbmm(self._prior_bias, h.expand(shared), self._prior)), self._prior_down)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (M, B, 1)
        x.mul_(length.square_().mul_(1.0 / x.shape[-1]).add_(self._epsilon).rsqrt_())
        return Features(torch.addcmul(self._shift, x, self._scale, out=x))

    def params(self, features: Features, v: int, told: Tensor) -> Tensor:
        """Parameters (M, B, P) of variable v from features and what earlier variables tell.

        That is (B, E_v), or (M, B, E_v) of other people for each head.
        """
        earlier = self._earlier[v - 1] if told.shape[-1] else None
        if earlier is None:
            active = features.active
        elif told.shape[-1] == 1:
            active = _gelu_(torch.addcmul(features.z, told, earlier))
        else:
            active = _gelu_(torch.baddbmm(features.z, told.expand(self.count, *told.shape[-2:]), earlier))
        return torch.baddbmm(self._bias_of[v], self._write[v], active.mT)[:, : self._widths[v]].mT

    def tails(self, features: Features) -> Tensor:
        """Effects of each that may act on each of K affected variables, (M, K times acting, B)."""
        return torch.baddbmm(self._tails_bias, self._tails, features.active.mT)[:, : self._tail]

    def _norm(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self._ones, self._zeros)  # faster than without scale and shift


def _matrices(layers: Iterable[nn.Module]) -> Tensor:
    """Weights of M linear layers, (M, in, out)."""
    return torch.stack([layer.weight.T for layer in layers if isinstance(layer, nn.Linear)]).contiguous()


def _biases(layers: Iterable[nn.Module]) -> Tensor:
    """Biases of M layers, (M, 1, out)."""
    return torch.stack([layer.bias for layer in layers if isinstance(layer, nn.Linear | nn.LayerNorm)])[:, None]


def _centred(weights: Tensor) -> Tensor:
    """Take the mean over the last axis off."""
    return weights - weights.mean(-1, keepdim=True)
