"""What did an evaluation find: one row per person and seed, and each measure as an array of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.constraint import Constraint
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.validation import RETURN_METRIC
from twingym.twins.cohort import Ids
from twingym.twins.errors import CohortError, SpecError, unknown
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

    from twingym.evaluation.courses import CourseMoments, Courses

# Between the levels of a full intersection of grouping traits.
INTERSECTION = " × "
BENEFIT_RATE = "benefit_rate"


@dataclass(frozen=True)
class Evaluation:
    """What one policy did to the same people as every other policy, under one dynamics.

    Attributes:
        scenario: The problem.
        episodes: One row per person and seed: ``policy``, ``dynamics``, ``seed``, ``twin``, ``steps``, ``terminated``,
            ``return``, ``reward_per_step``, ``cost_<name>`` (sums), ``event_<name>``, metrics, ``need``, ``benefit``,
            ``exposure`` (share of steps with an intervention), ``delivered_<name>`` (sums; counts of each level beyond
            0), ``shielded`` (steps), ``disagreement`` (mean), ``gain`` (return beyond the baseline's, if one was
            given), traits (categorical ones as level names).
        settings: What was asked for, of which scenario, with which versions.
        courses: Tracked variables over time, or None.
    """

    scenario: Scenario
    episodes: pd.DataFrame
    settings: dict[str, Any]
    courses: Courses | CourseMoments | None = None

    @property
    def policy(self) -> str:
        """Name of the policy."""
        return str(self.settings["policy"])

    @property
    def dynamics(self) -> str:
        """Name of the dynamics."""
        return str(self.settings["dynamics"])

    @property
    def twins(self) -> Ids:
        """Ids of the people, ascending, shape (N,)."""
        return np.unique(self.episodes["twin"].to_numpy(np.int64))

    @property
    def seeds(self) -> list[int]:
        """Seeds, ascending."""
        return sorted(int(s) for s in self.episodes["seed"].unique())

    def column(self, name: str) -> Floats:
        """Return a column of ``episodes`` as (N, S): people by ascending id, seeds ascending.

        Raises:
            UnknownNameError: If there is no such column.
            CohortError: If a person lacks an episode under some seed, or has two.
        """
        if name not in self.episodes:
            raise unknown("column of episodes", name, self.episodes.columns)
        people, seeds = len(self.twins), len(self.seeds)
        ordered = self.episodes.sort_values(["twin", "seed"], kind="stable")
        if len(ordered) != people * seeds or ordered.duplicated(["twin", "seed"]).any():
            raise CohortError(
                f"{len(ordered)} episodes of {people} people under {seeds} seeds; allowed: one for each of both."
            )
        return ordered[name].to_numpy(np.float64).reshape(people, seeds)

    def measure(self, name: str) -> Floats:
        """Return what a constraint or a comparison speaks of, per episode, shape (N, S).

        Args:
            name: ``return``, a constraint's name (its cost per step for ``rate``, whether it exceeds the limit for
                ``chance``, else its sum), a metric's name, or another numeric column.
        """
        for constraint in self.scenario.costs:
            if constraint.name == name:
                return self.cost(constraint)
        return self.column(name)

    def cost(self, constraint: Constraint) -> Floats:
        """Return a constraint's cost per episode, as its kind counts it, shape (N, S)."""
        return counted(constraint, self.column(f"cost_{constraint.name}"), self.column("steps"))

    def is_cost(self, name: str) -> bool:
        """Whether a measure is a constraint's non-negative cost."""
        return name in {c.name for c in self.scenario.costs}

    def less_is_better(self, name: str) -> bool:
        """Whether lower values of a measure are wanted."""
        better = {m.name: m.better for m in self.scenario.metrics}
        return self.is_cost(name) or better.get(name) == "less" or name == "harmed"

    def labels(self, trait: str) -> NDArray[np.str_]:
        """Return everybody's level of a grouping trait, or of several joined by `` × ``, shape (N,).

        Raises:
            UnknownNameError: If it is not a trait of the episodes.
        """
        first = self.episodes.drop_duplicates("twin").sort_values("twin")
        parts = []
        for name in trait.split(INTERSECTION):
            if name not in first:
                raise unknown("trait", name, self.scenario.groups)
            parts.append(first[name].astype(str).to_numpy(dtype=str))
        return np.array([INTERSECTION.join(levels) for levels in zip(*parts, strict=True)])

    def rank(self, trait: str, group: str) -> tuple[int, ...]:
        """Return where a group stands in the declared order of levels."""
        levels = self.scenario.group_levels
        names = zip(trait.split(INTERSECTION), group.split(INTERSECTION), strict=True)
        return tuple(levels[name].index(level) if level in levels.get(name, ()) else -1 for name, level in names)

    @property
    def partitions(self) -> tuple[str, ...]:
        """The grouping traits, and their full intersection where there are several."""
        groups = self.scenario.groups
        return (*groups, INTERSECTION.join(groups)) if len(groups) > 1 else groups


def counted(constraint: Constraint, total: Floats, steps: Floats) -> Floats:
    """Return a summed cost as the constraint's kind counts it: per step, whether it exceeds the limit, or the sum."""
    if constraint.kind == "rate":
        return total / steps
    if constraint.kind == "chance":
        return (total > constraint.limit).astype(np.float64)
    return total


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return one evaluation in which the policies of several training seeds count as further seeds of each person."""
    import pandas as pd

    if len(evaluations) == 1:
        return evaluations[0]
    seeds = len(evaluations[0].seeds)
    frames = []
    for number, evaluation in enumerate(evaluations):
        order = {seed: number * seeds + place for place, seed in enumerate(evaluation.seeds)}
        frames.append(evaluation.episodes.assign(seed=evaluation.episodes["seed"].map(order)))
    return replace(evaluations[0], episodes=pd.concat(frames, ignore_index=True), courses=None)


def checked_alike(evaluations: Sequence[Evaluation], seeds: bool = True) -> None:
    """Refuse evaluations that may not be put side by side.

    Args:
        evaluations: All of them.
        seeds: Whether their seeds must agree too.

    Raises:
        SpecError: If scenario or limits differ, or limits changed since an evaluation was made.
        CohortError: If they met different people, or other luck.
    """
    if not evaluations:
        raise SpecError("no evaluation was given; allowed: one, or one per training seed.")
    first = evaluations[0]
    for other in evaluations:
        for key, now in (("limits_hash", other.scenario.limits_hash()), ("fingerprint", first.settings["fingerprint"])):
            if other.settings[key] != now:
                raise SpecError(
                    f"evaluation of {other.policy!r}: {key} is {other.settings[key]!r}; allowed: {now!r}. "
                    "The scenario or its limits changed since; evaluate again."
                )
        if (seeds and other.seeds != first.seeds) or not np.array_equal(other.twins, first.twins):
            raise CohortError(
                f"{other.policy!r} met {len(other.twins)} people under seeds {other.seeds}, {first.policy!r} "
                f"{len(first.twins)} under {first.seeds}; allowed: the same people and seeds for all."
            )
        if other.settings["horizon"] != first.settings["horizon"]:
            raise SpecError(
                f"{other.policy!r} was judged over {other.settings['horizon']} steps, {first.policy!r} over "
                f"{first.settings['horizon']}; allowed: the same horizon for all."
            )


def returns(evaluation: Evaluation) -> Floats:
    """Return everybody's return, mean over seeds, shape (N,)."""
    return np.asarray(evaluation.measure(RETURN_METRIC).mean(axis=1))
