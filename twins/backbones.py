"""What may carry a course instead of attention: a recurrent network, or nothing but the last step.

Both are trunks like :class:`~twingym.twins.transformer.CausalTransformer`, with the same tokens and heads: honest
baselines, and second judges that err in their own way.

Legend of shapes: B = people, T = tokens, D = model width, F = features of a token.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from twingym.twins.errors import SpecError
from twingym.twins.transformer import Cache, CausalTransformer, Trunk
from twingym.twins.transformer_config import TransformerConfig


@dataclass
class HiddenStates:
    """Hidden states of every row.

    Attributes:
        layers: One tensor (B, D) per layer, zero before birth; none where nothing is remembered.
    """

    layers: list[Tensor]

    def take(self, rows: Tensor) -> HiddenStates:
        """Copy ``rows``."""
        return HiddenStates([state[rows] for state in self.layers])

    def restart(self, rows: Tensor, fresh: HiddenStates) -> None:
        """Let the people of ``fresh``, who have one token each, take the place of ``rows``."""
        for state, new in zip(self.layers, fresh.layers, strict=True):
            state[rows] = new[: len(rows)]


class RecurrentTrunk(Trunk):
    """Gated recurrent units carry a course (Cho et al. 2014, arXiv:1406.1078); the window is without limit."""

    def _layers(self, config: TransformerConfig) -> nn.ModuleList:
        return nn.ModuleList(nn.GRU(config.width, config.width, batch_first=True) for _ in range(config.layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """Whole courses (or crops of them): tokens (B, T, F) -> (B, T, D)."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = x + block(x)[0]
        return self.norm(x)  # type: ignore[no-any-return]

    def empty_cache(self, rows: int) -> HiddenStates:
        """Return hidden states of ``rows`` people who are about to be born."""
        return HiddenStates([self.embed.weight.new_zeros(rows, self.config.width) for _ in self.blocks])

    def decode(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Add one token per row: tokens (B, F) -> (B, D); equals the last column of :meth:`forward`."""
        assert isinstance(cache, HiddenStates)
        x = self.embed(tokens)
        for k, block in enumerate(self.blocks):
            cache.layers[k] = block(x[:, None], cache.layers[k][None])[1][0]
            x = x + cache.layers[k]
        return self.norm(x)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """A residual block that looks at one token alone."""

    def __init__(self, config: TransformerConfig) -> None:
        """Build the block."""
        super().__init__()
        d = config.width
        self.norm, self.up, self.down = nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: Tensor) -> Tensor:
        """Features (..., D) -> (..., D)."""
        return x + self.down(F.gelu(self.up(self.norm(x))))  # type: ignore[no-any-return]


class MarkovTrunk(Trunk):
    """Nothing carries a course: what the token itself tells is all that is known (a Markov model)."""

    def _layers(self, config: TransformerConfig) -> nn.ModuleList:
        return nn.ModuleList(FeedForward(config) for _ in range(config.layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of any leading axes, (..., F) -> (..., D)."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]

    def empty_cache(self, rows: int) -> HiddenStates:
        """Return that nothing is remembered."""
        return HiddenStates([])

    def decode(self, tokens: Tensor, cache: Cache) -> Tensor:
        """One token per row: tokens (B, F) -> (B, D)."""
        return self(tokens)  # type: ignore[no-any-return]


BACKBONES: dict[str, type[Trunk]] = {"transformer": CausalTransformer, "gru": RecurrentTrunk, "mlp": MarkovTrunk}


def backbone(name: str) -> type[Trunk]:
    """Return the trunk of this name.

    Raises:
        SpecError: If there is none.
    """
    if name not in BACKBONES:
        raise SpecError(f"backbone is {name!r}; allowed: {', '.join(BACKBONES)}.")
    return BACKBONES[name]
