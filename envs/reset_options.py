"""What may be asked for when people are seated?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twingym.envs.asked_traits import condition_in_numbers, fixed_in_numbers
from twingym.envs.history import checked_history
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Condition, Ids, checked_ids
from twingym.twins.courses import Courses
from twingym.twins.errors import CohortError, SpecError, unknown

NAMES = ("twins", "condition", "fixed", "episode", "history", "reset_mask")


@dataclass(frozen=True)
class ResetOptions:
    """The ``options`` of a reset.

    Attributes:
        twins: Who sits in each slot, shape (N,), episode after episode; None to draw people.
        condition: Kind of people; see :meth:`~twingym.twins.cohort.CohortSource.sample`.
        fixed: Trait values to impose.
        episode: Number of the first episode of each slot, shape (N,); None to go on counting.
        mask: Which slots to reset, shape (N,); None for all.
        history: Recorded courses, one per slot, at whose ends the people sit down; None to begin at birth.
    """

    twins: Ids | None = None
    condition: Condition | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)
    episode: Ids | None = None
    mask: NDArray[np.bool_] | None = None
    history: Courses | None = None

    @classmethod
    def read(cls, options: Mapping[str, Any] | None, slots: int, scenario: Scenario) -> ResetOptions:
        """Read what was given for N = ``slots`` slots.

        Raises:
            UnknownNameError: If there is no such option, trait or level; suggests the nearest.
            CohortError: If ids are impossible, or not one per slot, or no trait can have such a value.
            SpecError: If another value is impossible.
        """
        given = {name: value for name, value in (options or {}).items() if value is not None}
        for name in given:
            if name not in NAMES:
                raise unknown("reset option", name, NAMES)
        if "reset_mask" in given and len(given) > 1:
            raise SpecError(f"options['reset_mask'] stands alone; {sorted(set(given) - {'reset_mask'})} came with it.")
        extra = sorted({"twins", "condition", "fixed"} & set(given))
        if "history" in given and extra:
            raise SpecError(f"options['history'] says who the people are; {extra} came with it.")
        twins = checked_ids(given["twins"]) if "twins" in given else None
        if twins is not None and len(twins) != slots:
            raise CohortError(f"options['twins'] has {len(twins)} ids; allowed: one per slot, {slots}.")
        for name in ("condition", "fixed"):
            if not isinstance(given.get(name, {}), Mapping):
                raise SpecError(f"options[{name!r}] is {given[name]!r}; allowed: a mapping from trait to value.")
        return cls(
            twins,
            condition_in_numbers(scenario, given["condition"]) if "condition" in given else None,
            fixed_in_numbers(scenario, given.get("fixed", {})),
            _episode(given["episode"], slots) if "episode" in given else None,
            _mask(given["reset_mask"], slots) if "reset_mask" in given else None,
            checked_history(given["history"], slots, scenario) if "history" in given else None,
        )


def _episode(value: object, slots: int) -> Ids:
    episode = np.asarray(value)
    whole = episode.dtype.kind in "iu" and episode.shape in ((), (slots,))
    if not whole or (episode < 0).any() or (episode >= 2**31).any():
        raise SpecError(f"options['episode'] is {value!r}; allowed: a whole number from 0, or one per slot ({slots}).")
    return np.broadcast_to(episode, (slots,)).astype(np.int64)


def _mask(value: object, slots: int) -> NDArray[np.bool_]:
    mask = np.asarray(value)
    if mask.dtype != np.bool_ or mask.shape != (slots,) or not mask.any():
        raise SpecError(f"options['reset_mask'] is {value!r}; allowed: {slots} booleans, at least one True.")
    return mask
