"""What does a reaction to disagreement do to the people who sit in the slots of an environment now?"""

from __future__ import annotations

import numpy as np

from twingym.envs.batch import Batch
from twingym.envs.doubt import Doubt
from twingym.envs.enforcement import Flags
from twingym.twins.cohort import Rows
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats


class Reactions:
    """Keeps how far the heads disagreed about each of N slots lately, and which episodes are to be cut."""

    def __init__(self, dynamics: Dynamics, slots: int, doubt: Doubt | None = None) -> None:
        """React as ``doubt`` says, or not at all.

        Raises:
            SpecError: If the dynamics has no heads that could disagree.
        """
        self._uncertain = dynamics if isinstance(dynamics, Uncertain) else None
        if doubt is not None and not isinstance(doubt, Doubt):
            raise SpecError(f"doubt is {doubt!r}; allowed: a Doubt, as envs.doubt_scale.calibrated finds its scale.")
        if doubt is not None and self._uncertain is None:
            raise SpecError(f"doubt needs a twin model with several heads; {type(dynamics).__name__} has none.")
        self._doubt = doubt
        self._recent, self._cut = np.zeros(slots), np.zeros(slots, bool)

    def disagreement(self, batch: Batch) -> Floats:
        """Return how far the heads differed about the last step, (N,); NaN if there are none."""
        unsure = self._uncertain
        return np.full(len(self._cut), np.nan) if unsure is None else unsure.disagreement(batch.state)

    def begin(self, rows: Rows | slice) -> None:
        """Let episodes begin in ``rows``, with what is typical."""
        self._recent[rows] = self._doubt.typical if self._doubt else 0.0
        self._cut[rows] = False

    def cut(self, slots: Flags) -> None:
        """Let the next step be the last of the episodes in ``slots`` (N,)."""
        self._cut = slots.copy()

    def before_step(self, batch: Batch, seed: int | None) -> None:
        """Bind people to other heads, if that is the reaction."""
        if self._doubt is None or self._uncertain is None or seed is None:
            return
        moment = batch.moment
        heads = self._doubt.heads(seed, moment.cohort.ids, batch.episode, moment.t, self._uncertain.heads)
        if heads is not None:
            batch.state = self._uncertain.bind(batch.state, heads)

    def after_step(self, spread: Floats, idle: Rows) -> tuple[Floats, Flags]:
        """Return what disagreement (N,) costs each slot, none that is ``idle``, and whose episode ends, (N,) each."""
        cut, self._cut = self._cut, np.zeros(len(self._cut), bool)
        if self._doubt is None:
            return np.zeros(len(cut)), cut
        penalty = self._doubt.penalty(spread)
        penalty[idle] = 0.0
        self._recent = self._doubt.recent(self._recent, spread)
        return penalty, cut | self._doubt.beyond(self._recent)
