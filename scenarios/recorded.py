"""What was recorded about the people of a scenario from a table: their courses, and where each number comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twingym.twins.cohort import Cohort, Condition, Ids, Rows, Split, checked_ids, matches, split_of
from twingym.twins.courses import Courses
from twingym.twins.errors import CohortError, SpecError, unknown
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

CHALLENGER_SHARE = 1 / 3  # of the people of the train split
_SEED = 0x7AB1E


@dataclass(frozen=True)
class Provenance:
    """Where a variable, trait or intervention comes from.

    Attributes:
        table: Name of the source.
        file: Its file, or ``DataFrame``.
        sha256: Of that.
        column: Name in it.
        lag: How long after its time a value becomes known.
        lag_unit: Unit of that.
        missing: Share of person-steps (traits: of people) without a value.
    """

    table: str
    file: str
    sha256: str
    column: str
    lag: float
    lag_unit: str
    missing: float


@dataclass(frozen=True)
class HeldOut:
    """How a twin model is judged on people it has not met: fixed before it is fitted.

    Attributes:
        variables: What is forecast.
        origins: Known steps of the past at which forecasts begin, one forecast of each person from each; empty if
            ``cut`` says when.
        cut: Per person, (P,): the last step that anything is fitted on, and at which the forecast begins; None for
            none.
        horizons: Steps ahead, first and last, by label.
        total: Whether sums over those steps are forecast instead of single values.
        simple: ``random effects`` or ``BG/NBD``: the forecast that a statistician would make.
        effect_steps: Steps after entry at which effects of interventions are compared.
        randomised: Interventions that were given by chance, so that arms may be compared.
    """

    variables: tuple[str, ...]
    horizons: Mapping[str, tuple[int, int]]
    origins: tuple[int, ...] = ()
    cut: NDArray[np.int64] | None = None
    total: bool = False
    simple: str = "random effects"
    effect_steps: int = 1
    randomised: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recorded:
    """The people of a table.

    Attributes:
        courses: What was recorded of P people, on the scenario's grid; missing is NaN.
        names: What the table calls them, (P,).
        provenance: Of each declared quantity, by name.
        merged: How many values gave way to a later one in the same step.
        never_varied: Interventions that everybody got alike at all times, by name, and what that was.
        held_out: How a twin model is judged.
        seldom: How many people ever got a level, by intervention and level, where it was hardly anybody.
    """

    courses: Courses
    names: NDArray[np.object_]
    provenance: Mapping[str, Provenance]
    merged: int
    never_varied: Mapping[str, str]
    held_out: HeldOut
    seldom: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """The split of each person, (P,)."""
        return split_of(self.courses.ids)

    def rows(self, split: Split) -> Rows:
        """Return the people of a split."""
        return np.flatnonzero(self.splits == split)

    def learners(self, challenger: bool = False) -> Courses:
        """Return the courses that a twin model is fitted on, up to the cut: two thirds of the train split, or the rest.

        The validation people, who decide when to stop, are the same for both.
        """
        u = uniforms(_SEED, self.courses.ids, 0, Stream.PERSON, 0, 1)[:, 0]
        mine = (u < CHALLENGER_SHARE) == challenger
        rows = np.flatnonzero((self.splits == "validation") | ((self.splits == "train") & mine))
        return self.known().take(rows)

    def known(self) -> Courses:
        """Return all courses up to the cut: what may be learned from."""
        cut = self.held_out.cut
        if cut is None:
            return self.courses
        courses = self.courses
        length = np.minimum(courses.length, cut)
        steps = int(length.max())
        after = np.arange(steps + 1) > length[:, None]  # (P, steps + 1)
        return replace(
            courses,
            observed=np.where(after[..., None], np.nan, courses.observed[:, : steps + 1]),
            delivered=courses.delivered[:, :steps],
            inputs=courses.inputs[:, : steps + 1],
            propensity=courses.propensity[:, :steps],
            length=length,
        )

    def described(self) -> dict[str, Any]:
        """Return counts and provenance as plain JSON."""
        courses = self.courses
        return {
            "people": {split: int((self.splits == split).sum()) for split in ("train", "validation", "test")},
            "person_steps": int(courses.length.sum()),
            "merged": self.merged,
            "never_varied": dict(self.never_varied),
            "seldom": {name: dict(levels) for name, levels in self.seldom.items()},
            "provenance": {name: vars(found) for name, found in self.provenance.items()},
        }


@dataclass(frozen=True)
class TablePeople:
    """The people of a table, and as many more like them as are asked for.

    Whoever's id stands in the table is that person. Any other id has the traits of one of the table's people of the
    same split, drawn by id: so held-out ids never have the traits of those who were learned from.

    Attributes:
        recorded: Ids and traits, by name, each (P,).
    """

    recorded: tuple[Ids, Mapping[str, Floats]]

    def sample(
        self, ids: ArrayLike, condition: Condition | None = None, fixed: Mapping[str, float] | None = None
    ) -> Cohort:
        """Return the people with these ids; see :meth:`~twingym.twins.cohort.CohortSource.sample`."""
        wanted, (known, traits) = checked_ids(ids), self.recorded
        for name in fixed or {}:
            if name not in traits:
                raise unknown("trait", name, traits)
        fits = matches(traits, condition) if condition and traits else np.ones(len(known), bool)
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
        rows = order[place]
        drawn = (known[rows] != wanted) | ~fits[rows]
        u = uniforms(_SEED, wanted, 0, Stream.PERSON, 1, 1)[:, 0]
        split, of_table = split_of(wanted), split_of(known)
        for name in np.unique(split[drawn]):
            pool, here = np.flatnonzero(fits & (of_table == name)), drawn & (split == name)
            if len(pool) == 0:
                raise CohortError(
                    f"nobody of the table's {name} split fits condition {dict(condition or {})}; widen the condition."
                )
            rows[here] = pool[(u[here] * len(pool)).astype(np.intp)]
        found = {name: values[rows] for name, values in traits.items()}
        return Cohort(wanted, {**found, **{n: np.full(len(wanted), float(v)) for n, v in (fixed or {}).items()}})


def check_varied(recorded: Recorded | None, assumed: Mapping[str, Any], scenario: str) -> None:
    """Refuse to train a policy on interventions of which nobody can know what they do.

    Raises:
        SpecError: Saying which, why, and what may be done.
    """
    if recorded is None:
        return
    for name, level in recorded.never_varied.items():
        if name not in assumed:
            raise SpecError(
                f"scenario {scenario!r}: intervention {name!r} was {level} for all {len(recorded.courses):,} people at "
                "all times. The table cannot tell what it does, so that a policy for it would be invented. Record "
                "people of whom some, by chance, got something else; or declare an effect, which every result then "
                f"names as an assumption: [interventions.{name}.assumed]. Forecasts and cards need neither."
            )
    for name, levels in recorded.seldom.items():
        told = ", ".join(f"{level!r} ({count})" for level, count in levels.items())
        raise SpecError(
            f"scenario {scenario!r}: of {len(recorded.courses):,} people hardly anybody ever got these levels of "
            f"{name!r}: {told}. The table cannot tell what they do, so that a policy for them would be invented. "
            "Leave them out of the spec's levels, with the rows that have them, or record more people who got them. "
            "Forecasts and cards need neither."
        )
