"""What do policies remember of a recorded past, had they watched it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twingym.envs.batch import Batch
from twingym.envs.history import relive
from twingym.envs.layout import ObservationLayout
from twingym.envs.moment import Moment, Reading
from twingym.envs.newcomers import Newcomers
from twingym.envs.render import Film
from twingym.envs.reset_options import ResetOptions
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    from twingym.evaluation.rollout import Policy, Visit


def remembered(policies: Mapping[str, Policy], visit: Visit) -> dict[str, Any]:
    """Show policies the past of a visit, step by step, and return what each then remembers.

    They see it as the visit's environment relives it, missing readings as it draws them. What they would have done is
    not done: what was recorded was. Policies without a memory see nothing, and their memory is None.

    Args:
        policies: Policies by name.
        visit: Of people with a history.
    """
    env, history = visit.env(), visit.history
    assert history is not None
    people = len(visit.twins)
    wanted = ResetOptions.read(visit.options(), people, visit.scenario)
    assert wanted.episode is not None
    newcomers = Newcomers(visit.scenario, "test", wanted, visit.seed, env.horizon, wanted.episode)
    batch = Batch(visit.scenario, visit.dynamics, newcomers, visit.seed, env.horizon)
    watchers = _Watchers(policies, batch, env.layout, Reading(visit.scenario, "policy", env.horizon))
    if watchers.memory:
        relive(batch, history, watchers)
    return {name: watchers.memory.get(name) for name in policies}


class _Watchers(Film):
    """Policies in the place of a film: they are shown every moment before a step, and keep nothing but a memory."""

    def __init__(self, policies: Mapping[str, Policy], batch: Batch, layout: ObservationLayout, sees: Reading) -> None:
        """Find out at birth which of them have a memory at all."""
        self._batch, self._layout, self._sees = batch, layout, sees
        self._policies, self.memory = dict(policies), dict.fromkeys(policies, None)
        for policy in policies.values():
            if hasattr(policy, "meet"):
                policy.meet(batch.moment.cohort)
        self._watch(batch.moment)
        self.memory = {name: None for name, kept in self.memory.items() if kept is not None}

    def add(self, delivered: Floats, moment: Moment) -> None:
        """Watch what was true before this step."""
        assert self._batch.last is not None
        self._watch(self._batch.last[0])

    def begin(self, rows: np.ndarray[tuple[int], np.dtype[np.intp]], moment: Moment) -> None:
        """Do nothing: whoever begins is told from the others by having made no step."""

    def _watch(self, moment: Moment) -> None:
        seen, starts = self._layout.encode(self._sees(moment)), moment.t == 0
        for name, kept in self.memory.items():
            _, self.memory[name] = self._policies[name].predict(seen, kept, starts, deterministic=True)
