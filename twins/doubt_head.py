"""How far would networks that were fitted apart differ about the next step?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST = 3.0  # of the log of a spread: far from all that was taught nothing may overflow


class DoubtHead(nn.Module):
    """A head on the trunk that says what :mod:`twingym.twins.distillation` has taught it."""

    def __init__(self, features: int, width: int) -> None:
        """Build a head for trunk output and token of ``features`` numbers together."""
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, 1))

    @classmethod
    def untaught(cls, features: int, width: int, seed: int = 0) -> DoubtHead:
        """Build a head with weights drawn from ``seed``, leaving torch's global generator as it was."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(features, width)

    def log_spread(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Return the log of the spread (...), in typical changes, from trunk output (..., D) and token (..., F)."""
        told = self.layers(torch.cat([hidden, tokens], dim=-1))[..., 0]
        return told.clamp(max=LARGEST)  # type: ignore[no-any-return]

    def forward(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Return the spread (...), in typical changes, from trunk output (..., D) and token (..., F)."""
        return self.log_spread(hidden, tokens).exp()
