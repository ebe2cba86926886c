"""How does a critic tell what an action did from what luck did: it sees the double, which the actor does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import Tensor
from torch.nn import functional as F


def with_double(space: Box) -> Box:
    """Return the space of observations of a person followed by those of the double, (2 D,)."""
    return Box(np.tile(space.low, 2), np.tile(space.high, 2), dtype=np.float32)


def alone(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return observations (N, 2 D) for people (N, D) without a double: as if the double were where they are."""
    return np.concatenate([rows, rows], axis=1)


class PairedPolicy(ActorCriticPolicy):
    """An ``MlpPolicy`` whose actor sees a person and whose critic sees the double of :class:`PairedReward` too.

    A purchase that a contact brought about looks to a critic like any other, and so do its consequences; beside the
    double, who did not make it, they can be told apart, and what a contact sets off later is credited to it. Only
    training needs the double: the actor never learns where it is.

    Source: a critic that knows more than the actor, as in Pinto et al. 2018, "Asymmetric actor critic for image-based
    robot learning", RSS.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build the policy with SB3's arguments, for observations (2 D,)."""
        super().__init__(*args, **{**kwargs, "share_features_extractor": False})
        # The extractors have no weights, so the optimiser that was made above lacks nothing.
        self.pi_features_extractor = self.features_extractor = _Own(self.observation_space)


class _Own(FlattenExtractor):
    """Blanks the double's half of an observation."""

    def forward(self, observations: Tensor) -> Tensor:
        """(N, 2 D) to (N, 2 D)."""
        own = observations.shape[1] // 2
        return F.pad(observations[:, :own], (0, own))
