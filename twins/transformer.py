"""The trunk of a network, by default a causal transformer over a person's course, decoded with a ring cache.

Legend of shapes: B = people, T = tokens, D = model width, H = attention heads, E = width of an attention head,
W = window, M = ensemble heads, V = modelled variables, F = features of a token, P = parameters of a variable.

Attention is banded: a token sees itself and the W - 1 tokens before it, with a penalty that grows with age (ALiBi,
Press et al. 2022), one head without penalty. All heads share one set of keys and values (multi-query attention,
Shazeer 2019), which makes the cache, whose reading dominates a decoding step, H times smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twingym.twins.transformer_config import TransformerConfig


def alibi_slopes(heads: int, window: int) -> Tensor:
    """Penalty per step of age, shape (H,): zero for the first head, then from a whole window to one step."""
    if heads == 1:
        return torch.zeros(1)
    spread = torch.linspace(math.log(3.0 / window), math.log(0.5), heads - 1).exp()
    return torch.cat([torch.zeros(1), spread])


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        """Build the block."""
        super().__init__()
        d, self.heads, self.head_width = config.width, config.attention_heads, config.head_width
        self.norm_attention, self.norm_mlp = nn.LayerNorm(d), nn.LayerNorm(d)
        self.query = nn.Linear(d, self.heads * self.head_width)
        self.key_value = nn.Linear(d, 2 * self.head_width)
        self.merge = nn.Linear(self.heads * self.head_width, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: Tensor, bias: Tensor, window: int) -> Tensor:
        """Whole courses at once: x (B, T, D), bias (H, T, T) -> (B, T, D).

        Only the band is computed, a window of queries at a time: the rest of (T, T) is hidden anyway.
        """
        b, t, _ = x.shape
        normed = self.norm_attention(x)
        q = self.query(normed).view(b, t, self.heads, self.head_width).transpose(1, 2)  # (B, H, T, E)
        q = q / math.sqrt(self.head_width)
        k, v = self.key_value(normed)[:, None].chunk(2, dim=-1)  # (B, 1, T, E) each
        mixed = []
        for first in range(0, t, window):
            last, oldest = min(first + window, t), max(0, first - window + 1)
            scores = q[:, :, first:last] @ k[:, :, oldest:last].transpose(-1, -2)
            scores = scores + bias[:, first:last, oldest:last]  # (B, H, <= W, < 2W)
            mixed.append(scores.softmax(-1) @ v[:, :, oldest:last])
        return self._rest(x, torch.cat(mixed, dim=2).transpose(1, 2).reshape(b, t, -1))

    def decode(self, x: Tensor, keys: Tensor, values: Tensor, slot: int, bias: Tensor) -> Tensor:
        """One token a row: x (B, D), ring of keys and values (B, W, E), bias (1 or B, H, W) -> (B, D)."""
        normed = self.norm_attention(x)
        q = self.query(normed).view(-1, self.heads, self.head_width)  # (B, H, E)
        k, v = self.key_value(normed).chunk(2, dim=-1)  # (B, E) each
        keys[:, slot], values[:, slot] = k, v
        scores = torch.bmm(q / math.sqrt(self.head_width), keys.transpose(1, 2)) + bias  # (B, H, W)
        mixed = torch.bmm(scores.softmax(-1), values).view(x.shape[0], -1)  # (B, H E)
        return self._rest(x, mixed)

    def _rest(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.merge(mixed)
        return x + self.down(F.gelu(self.up(self.norm_mlp(x))))  # type: ignore[no-any-return]


class EnsembleHead(nn.Module):
    """One of M heads: a feed-forward block of its own, then the variables one after the other.

    The distribution of variable v depends on the block's output and, through a linear map, on what was just drawn of
    the variables declared before it. A random map that is never trained is added to each block (Osband et al. 2018,
    "Randomized prior functions"): where there were data its effect is learned away, elsewhere the heads differ.
    """

    def __init__(self, config: TransformerConfig, widths: tuple[int, ...], earlier: tuple[int, ...]) -> None:
        """Build a head that writes ``widths[v]`` parameters for variable v, given ``earlier[v]`` numbers drawn."""
        super().__init__()
        d, self.prior_gain = config.width, config.prior_gain
        self.norm, self.up = nn.LayerNorm(d), nn.Linear(d, config.ensemble_width)
        self.down, self.norm_out = nn.Linear(config.ensemble_width, d), nn.LayerNorm(d)
        self.prior = nn.Sequential(nn.Linear(d, config.prior_width), nn.GELU(), nn.Linear(config.prior_width, d))
        self.prior.requires_grad_(False)
        self.earlier = nn.ModuleList(nn.Linear(e, d, bias=False) if e else nn.Identity() for e in earlier[1:])
        self.write = nn.ModuleList(nn.Linear(d, p) for p in widths)

    def block(self, h: Tensor) -> Tensor:
        """Trunk output (..., D) to this head's own features (..., D)."""
        learned = self.down(F.gelu(self.up(self.norm(h))))
        return self.norm_out(h + learned + self.prior_gain * self.prior(h))  # type: ignore[no-any-return]

    def params(self, z: Tensor, v: int, told: Tensor) -> Tensor:
        """Parameters (..., P) of variable v from features (..., D) and what earlier variables tell (..., E_v)."""
        return self.write[v](F.gelu(z + self.earlier[v - 1](told)) if told.shape[-1] else F.gelu(z))  # type: ignore[no-any-return]


class Cache(Protocol):
    """What a backbone keeps of every row's past tokens."""

    def take(self, rows: Tensor) -> Cache:
        """Copy ``rows``."""
        ...

    def restart(self, rows: Tensor, fresh: Any) -> None:
        """Let the people of ``fresh``, who have one token each, take the place of ``rows``."""
        ...


@dataclass
class RingCache:
    """Keys and values of the last W tokens of every row.

    One write slot and one clock serve the whole batch; a row that restarts only notes its birth, which hides older
    slots. Hence resets move no memory and may happen at any time.

    Attributes:
        keys: One tensor (B, W, E) per layer.
        values: One tensor (B, W, E) per layer.
        birth: Clock of each row's first token, (B,).
        clock: Tokens decoded so far.
    """

    keys: list[Tensor]
    values: list[Tensor]
    birth: Tensor
    clock: int = 0

    def take(self, rows: Tensor) -> RingCache:
        """Copy ``rows``."""
        return RingCache([k[rows] for k in self.keys], [v[rows] for v in self.values], self.birth[rows], self.clock)

    def restart(self, rows: Tensor, fresh: RingCache) -> None:
        """Let the people of ``fresh``, who have one token each, take the place of ``rows``.

        A token takes the slot of the previous person's last one, so that everybody's clocks agree.
        """
        slot = (self.clock - 1) % self.keys[0].shape[1]
        for ring, new in zip(self.keys + self.values, fresh.keys + fresh.values, strict=True):
            ring[rows, slot] = new[: len(rows), 0]
        self.birth[rows] = self.clock - 1


class Trunk(nn.Module):
    """Tokens of a course in, one hidden vector a token out; M ensemble heads on top.

    A backbone adds what carries a course between :attr:`embed` and :attr:`norm`.
    """

    def __init__(
        self, config: TransformerConfig, features: int, widths: tuple[int, ...], earlier: tuple[int, ...], window: int
    ) -> None:
        """Build the network for tokens of ``features`` numbers and variables of ``widths`` parameters.

        ``earlier`` says how many numbers about the variables before it each variable depends on.
        """
        super().__init__()
        self.config, self.window = config, window
        self.embed = nn.Linear(features, config.width)
        self.blocks = self._layers(config)
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.ModuleList(EnsembleHead(config, widths, earlier) for _ in range(config.ensemble))

    def _layers(self, config: TransformerConfig) -> nn.ModuleList:
        raise NotImplementedError

    def forward(self, tokens: Tensor) -> Tensor:
        """Whole courses (or crops of them): tokens (B, T, F) -> (B, T, D)."""
        raise NotImplementedError

    def empty_cache(self, rows: int) -> Cache:
        """Return a cache for ``rows`` people who are about to be born."""
        raise NotImplementedError

    def decode(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Add one token per row to the cache: tokens (B, F) -> (B, D); equals the last column of :meth:`forward`."""
        raise NotImplementedError


class CausalTransformer(Trunk):
    """Attention carries a course."""

    slopes: Tensor

    def __init__(
        self, config: TransformerConfig, features: int, widths: tuple[int, ...], earlier: tuple[int, ...], window: int
    ) -> None:
        """Build the network; see :class:`Trunk`."""
        super().__init__(config, features, widths, earlier, window)
        self.register_buffer("slopes", alibi_slopes(config.attention_heads, window), persistent=False)

    def _layers(self, config: TransformerConfig) -> nn.ModuleList:
        return nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """Whole courses (or crops of them): tokens (B, T, F) -> (B, T, D)."""
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        age = steps[:, None] - steps[None, :]  # (T, T)
        bias = -self.slopes[:, None, None] * age
        bias = bias.masked_fill((age < 0) | (age >= self.window), -torch.inf)  # (H, T, T)
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, bias, self.window)
        return self.norm(x)  # type: ignore[no-any-return]

    def empty_cache(self, rows: int) -> RingCache:
        """Return a cache for ``rows`` people who are about to be born."""
        parameter = self.embed.weight
        shape = (rows, self.window, self.config.head_width)

        def ring() -> list[Tensor]:
            return [parameter.new_zeros(shape) for _ in self.blocks]

        return RingCache(ring(), ring(), torch.zeros(rows, dtype=torch.int64, device=parameter.device))

    def decode(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Add one token per row to the cache: tokens (B, F) -> (B, D); equals the last column of :meth:`forward`."""
        assert isinstance(cache, RingCache)
        bias = self._ring_bias(cache)
        x, slot = self.embed(tokens), cache.clock % self.window
        for block, keys, values in zip(self.blocks, cache.keys, cache.values, strict=True):
            x = block.decode(x, keys, values, slot, bias)  # type: ignore[operator]
        cache.clock += 1
        return self.norm(x)  # type: ignore[no-any-return]

    def _ring_bias(self, cache: RingCache) -> Tensor:
        """Penalty by age of each slot, minus infinity before birth: (1, H, W) if all rows agree, else (B, H, W)."""
        slots = torch.arange(self.window, device=self.slopes.device)
        age = (cache.clock - slots) % self.window  # (W,)
        penalty = (-self.slopes[:, None] * age)[None]  # (1, H, W)
        oldest, youngest = int(cache.birth.min()), int(cache.birth.max())
        staggered = oldest < youngest and cache.clock - youngest < self.window - 1
        births = cache.birth if staggered else cache.birth[:1].clamp(min=youngest)
        hidden = age[None, :] > (cache.clock - births)[:, None]  # (1 or B, W)
        return penalty.masked_fill(hidden[:, None, :], -torch.inf)
