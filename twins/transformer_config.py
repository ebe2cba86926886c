"""How large is a twin model?

Legend of shapes: D = model width, H = attention heads, E = width of an attention head, M = ensemble heads.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the network.

    Attributes:
        backbone: What carries a course: ``transformer``, ``gru`` or ``mlp``; see :mod:`twingym.twins.backbones`.
        width: D.
        layers: Blocks of the trunk.
        attention_heads: H.
        head_width: E.
        ensemble: M, heads on the trunk.
        ensemble_width: Hidden width of each ensemble head's own block.
        prior_width: Hidden width of each head's random map.
        prior_gain: How strongly the random map speaks.
        own_linear: Whether each head has a linear path of its own from token to parameters, begun at random, where
            there is one (see :class:`~twingym.twins.network.TwinNetwork`): else heads agree about what doses add up to.
    """

    backbone: str = "transformer"
    width: int = 64
    layers: int = 2
    attention_heads: int = 4
    head_width: int = 16
    ensemble: int = 4
    ensemble_width: int = 64
    prior_width: int = 16
    prior_gain: float = 3.0
    own_linear: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the sizes as plain JSON."""
        return asdict(self)
