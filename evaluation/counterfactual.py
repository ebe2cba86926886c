"""The same person, but in another group: what would the policy have done, and what would have become of them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from twingym.evaluation.bounds import mean_of
from twingym.evaluation.courses import Courses
from twingym.evaluation.episodes import Evaluation, returns
from twingym.evaluation.rollout import Policy, evaluate
from twingym.scenarios.registry import get
from twingym.scenarios.scenario import Scenario
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd


def flip(
    policy: Policy,
    scenario: Scenario | str | Path,
    ids: ArrayLike,
    seeds: Sequence[int] = (0,),
    *,
    trait: str,
    dynamics: str | Dynamics = "reference",
    values: Sequence[float] | None = None,
    horizon: int | None = None,
) -> pd.DataFrame:
    """Clone every person at each level of a trait, all else equal, luck included, and compare the clones.

    The effect is total: the trait changes both what the policy sees and how the person responds.

    Args:
        policy: Anything with SB3's ``predict``.
        scenario: A scenario, its id, or the path of its file.
        ids: People.
        seeds: Seeds of inputs and noise.
        trait: Which trait is changed.
        dynamics: ``reference``, ``transformer``, or an object.
        values: Values to impose; all levels of a categorical trait if None.
        horizon: Steps; the scenario's ``judged_horizon`` if None.

    Returns:
        One row per pair of values: ``trait``, ``from``, ``to``, ``n``, ``difference`` of returns (mean of to minus
        from, each person with themselves) and its 95 % interval ``low``, ``high``, and ``action_disagreement``: the
        share of steps with another level, or the mean distance between amounts as a share of the person's range.

    Raises:
        CohortError: If the scenario's people do not let the trait be imposed.
        SpecError: If a trait without levels comes without values.
    """
    import pandas as pd

    found = scenario if isinstance(scenario, Scenario) else get(scenario)
    variable = found.variable(trait)
    if values is None and not variable.levels:
        unit = variable.unit or "1"
        raise SpecError(f"values is None; trait {trait!r} has no levels, so give at least two numbers in {unit}.")
    imposed = [float(v) for v in (values if values is not None else range(len(variable.levels)))]
    if len(imposed) < 2:
        raise SpecError(f"values is {imposed}; allowed: at least two.")
    clones = {
        value: evaluate(policy, found, ids, seeds, dynamics, horizon=horizon, courses=True, fixed={trait: value})
        for value in imposed
    }

    def label(value: float) -> object:
        return variable.levels[int(value)] if variable.levels else value

    rows = []
    for i, one in enumerate(imposed):
        for other in imposed[i + 1 :]:
            before, after = clones[one], clones[other]
            difference = mean_of(returns(after) - returns(before))
            low, high = difference.interval()
            row = {"trait": trait, "from": label(one), "to": label(other), "n": len(before.twins)}
            row |= {"difference": difference.value, "low": low, "high": high}
            rows.append(row | {"action_disagreement": disagreement(before, after)})
    return pd.DataFrame(rows)


def disagreement(one: Evaluation, other: Evaluation) -> float:
    """Return how far the interventions of two evaluations of the same people differ, step by step, 0 to 1.

    Each intervention counts alike; steps after an early end of either do not count. Both need whole courses.
    """
    parts = []
    for intervention in one.scenario.interventions:
        mine, theirs = _shares(one, intervention.name), _shares(other, intervention.name)
        apart = (mine != theirs).astype(np.float64) if intervention.categorical else np.abs(mine - theirs)
        parts.append(apart[np.isfinite(mine) & np.isfinite(theirs)].mean())
    return float(np.mean(parts))


def _shares(evaluation: Evaluation, name: str) -> Floats:
    """Return delivered amounts as shares of each person's range, or level numbers, shape (E, T)."""
    if not isinstance(evaluation.courses, Courses):
        raise SpecError("courses are missing; evaluate with courses=True.")
    amounts = evaluation.courses.delivered[name].astype(np.float64)
    intervention = next(i for i in evaluation.scenario.interventions if i.name == name)
    if intervention.categorical:
        return amounts
    traits: Mapping[str, Floats] = {
        t: evaluation.episodes[t].to_numpy(np.float64)[:, None] for t in (intervention.per_person,) if t is not None
    }
    return 0.5 * (intervention.undo(amounts, dict(traits)) + 1.0)
