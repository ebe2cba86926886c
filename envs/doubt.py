"""What is done in training where the twin model is in doubt, on the scale of its doubt under rules?

Three reactions, each with a source. ``penalise``: disagreement costs reward (MOPO: Yu et al. 2020, NeurIPS).
``truncate``: an episode that has come where disagreement is beyond what rules meet ends there, and its value is
bootstrapped (MOReL: Kidambi et al. 2020, NeurIPS, without its punishment). ``rebind``: people change heads on the way,
so that no single head can be exploited (PETS: Chua et al. 2018, NeurIPS; every step is its TS1, never, which is what
happens without a reaction, its TS-infinity).

Evaluation knows none of this: policies are judged on environments as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twingym.envs.enforcement import Flags
from twingym.twins.cohort import Ids, Rows
from twingym.twins.errors import SpecError, unknown
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

REACTIONS = ("penalise", "truncate", "rebind")


@dataclass(frozen=True)
class Doubt:
    """A reaction to disagreement, and its scale; :func:`~twingym.envs.doubt_scale.calibrated` finds the scale.

    Attributes:
        reaction: ``penalise``, ``truncate`` or ``rebind``.
        typical: Mean disagreement of a step under rules.
        price: Reward that a step of typical disagreement costs.
        limit: Disagreement, averaged over the last ``memory`` steps or so, beyond which an episode is cut.
        memory: Steps over which disagreement is averaged: that of one step is mostly chance
            (``python -m benchmarks.disagreement``).
        every: Steps from one head to the next, each person beginning at a time of their own.
    """

    reaction: str
    typical: float
    price: float
    limit: float
    memory: int
    every: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no reaction or no scale.

        Raises:
            UnknownNameError: If there is no such reaction; suggests the nearest.
            SpecError: If a number is impossible.
        """
        if self.reaction not in REACTIONS:
            raise unknown("reaction to doubt", self.reaction, REACTIONS)
        for name, least in (("typical", 0.0), ("price", 0.0), ("limit", 0.0), ("memory", 1), ("every", 1)):
            number = getattr(self, name)
            if not (np.isfinite(number) and number >= least):
                raise SpecError(f"doubt: {name} is {number}; allowed: a finite number of at least {least}.")

    def penalty(self, spread: Floats) -> Floats:
        """Return what disagreement (N,) in a step costs, (N,)."""
        if self.reaction != "penalise":
            return np.zeros_like(spread)
        return self.price * spread / max(self.typical, np.finfo(float).tiny)

    def recent(self, before: Floats, spread: Floats) -> Floats:
        """Return average disagreement (N,) after a step of ``spread``; it begins at what is typical."""
        return before + (spread - before) / self.memory

    def beyond(self, recent: Floats) -> Flags:
        """Return whose episode (N,) is to end for its average disagreement (N,)."""
        return (recent > self.limit) if self.reaction == "truncate" else np.zeros(len(recent), bool)

    def heads(self, seed: int, ids: Ids, episode: Ids, t: Ids, count: int) -> Rows | None:
        """Return which of ``count`` heads moves each person (N,) in the step from t (N,); None to leave them."""
        if self.reaction != "rebind":
            return None
        begins = np.floor(self.every * uniforms(seed, ids, episode, Stream.HEAD, 0, 1)[:, 0]).astype(np.int64)
        u = uniforms(seed, ids, episode, Stream.HEAD, 1 + (t + begins) // self.every, 1)[:, 0]
        return np.floor(count * u).astype(np.intp)
