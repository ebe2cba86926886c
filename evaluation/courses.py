"""What happened over time: whole courses, or what a thousand of them have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import Ids, Rows
from twingym.twins.errors import CohortError
from twingym.twins.scales import Floats, Scale

if TYPE_CHECKING:
    import pandas as pd

Series = NDArray[np.float32]
QUANTILES = (0.1, 0.5, 0.9)
WORST = 5
_BINS = 100


@dataclass(frozen=True)
class Courses:
    """E courses of T steps; what came after an early end is NaN.

    Attributes:
        who: ``seed`` and ``twin`` of each course, in the order of the rows below.
        time: When each observation was made, in the scenario's unit of time, shape (T + 1,).
        values: Tracked variables by name, shape (E, T + 1): birth, and the end of each step.
        inputs: Inputs in force over each step, by name, shape (E, T).
        delivered: Amounts delivered over each step, by name, shape (E, T).
    """

    who: pd.DataFrame
    time: Floats
    values: Mapping[str, Series]
    inputs: Mapping[str, Series]
    delivered: Mapping[str, Series]

    @property
    def channels(self) -> dict[str, Series]:
        """Everything by name."""
        return {**self.values, **self.inputs, **self.delivered}

    def row(self, twin: int, seed: int | None = None) -> int:
        """Return the row of a person (under the first seed unless one is given).

        Raises:
            CohortError: If that course was not kept.
        """
        found = (self.who["twin"] == twin) & ((self.who["seed"] == seed) if seed is not None else True)
        rows = np.flatnonzero(found.to_numpy())
        if len(rows) == 0:
            kept = ", ".join(str(t) for t in self.who["twin"].unique()[:8])
            raise CohortError(f"twin {twin} has no course here; kept are {kept}{', ...' if len(self.who) > 8 else ''}.")
        return int(rows[0])

    def take(self, rows: Rows) -> Courses:
        """Return some of the courses."""

        def picked(series: Mapping[str, Series]) -> dict[str, Series]:
            return {name: array[rows] for name, array in series.items()}

        who = self.who.iloc[rows].reset_index(drop=True)
        return Courses(who, self.time, picked(self.values), picked(self.inputs), picked(self.delivered))

    @staticmethod
    def join(parts: Sequence[Courses]) -> Courses:
        """Put courses of the same length below each other."""
        import pandas as pd

        def stacked(series: Sequence[Mapping[str, Series]]) -> dict[str, Series]:
            return {name: np.concatenate([s[name] for s in series]) for name in series[0]}

        return Courses(
            pd.concat([p.who for p in parts], ignore_index=True),
            parts[0].time,
            stacked([p.values for p in parts]),
            stacked([p.inputs for p in parts]),
            stacked([p.delivered for p in parts]),
        )


class Recorder:
    """Writes down the courses of N people, step by step."""

    def __init__(self, scenario: Scenario, people: int, steps: int) -> None:
        """Make room for ``people`` courses of ``steps`` steps."""
        self._time: Floats = np.asarray(np.arange(steps + 1) * scenario.dt, dtype=np.float64)
        self._values = {name: np.full((steps + 1, people), np.nan, np.float32) for name in tracked(scenario)}
        self._inputs = {v.name: np.full((steps, people), np.nan, np.float32) for v in scenario.inputs}
        self._delivered = {i.name: np.full((steps, people), np.nan, np.float32) for i in scenario.interventions}

    def birth(self, now: Values) -> None:
        """Note what is observed at birth."""
        for name, series in self._values.items():
            series[0] = now[name]

    def note(self, t: int, step: Step, live: NDArray[np.bool_]) -> None:
        """Note step number ``t`` (from 0) of the people whose episode was not over, ``live`` (N,)."""
        for name, series in self._values.items():
            series[t + 1, live] = step.after[name][live]
        for name, series in self._inputs.items():
            series[t, live] = step.before[name][live]
        for name, series in self._delivered.items():
            series[t, live] = step.delivered[name][live]

    def courses(self, twins: Ids, seed: int) -> Courses:
        """Return what was written."""
        import pandas as pd

        def turned(series: Mapping[str, Series]) -> dict[str, Series]:
            return {name: np.ascontiguousarray(array.T) for name, array in series.items()}

        who = pd.DataFrame({"seed": np.full(len(twins), seed), "twin": twins})
        return Courses(who, self._time, turned(self._values), turned(self._inputs), turned(self._delivered))


def tracked(scenario: Scenario) -> tuple[str, ...]:
    """Return the variables whose course is kept: those with ``track``, or else all that policies see."""
    candidates = (*scenario.variables, *scenario.derived)
    return tuple(v.name for v in candidates if v.track) or tuple(v.name for v in candidates if v.seen_by("policy"))


@dataclass(frozen=True)
class CourseMoments:
    """What the courses of each group have in common at each step.

    Attributes:
        groups: ``trait``, ``group`` and ``n`` of each of the G rows below; the first is everybody.
        time: As in :class:`Courses`.
        mean: By name, shape (G, T + 1), or (G, T) for inputs and amounts.
        sd: Standard deviations.
        quantiles: By name, shape (3, G, ...): 10 %, 50 % and 90 %, to about a hundredth of the declared range.
        worst: Courses of the people with the highest primary cost, worst first.
    """

    groups: pd.DataFrame
    time: Floats
    mean: Mapping[str, Floats]
    sd: Mapping[str, Floats]
    quantiles: Mapping[str, Floats]
    worst: Courses


@dataclass
class MomentKeeper:
    """Adds up batches of courses, and forgets all but the worst.

    Attributes:
        scenario: Declares the scales on which quantiles are counted.
        worst: How many whole courses are kept.
    """

    scenario: Scenario
    worst: int = WORST
    _groups: list[tuple[str, str]] = field(default_factory=list)
    _people: dict[tuple[str, str], int] = field(default_factory=dict)
    _sums: dict[str, Floats] = field(default_factory=dict)
    _counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    _kept: Courses | None = None
    _cost: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, courses: Courses, labels: Mapping[str, NDArray[np.str_]], cost: Floats) -> None:
        """Add a batch.

        Args:
            courses: E courses.
            labels: Level of each grouping trait, shape (E,).
            cost: Primary cost of each, shape (E,).
        """
        if not self._groups:
            levels = self.scenario.group_levels
            self._groups = [("all", "all"), *((trait, level) for trait in levels for level in levels[trait])]
        for number, (trait, level) in enumerate(self._groups):
            rows = np.flatnonzero(labels[trait] == level) if trait in labels else np.arange(len(cost))
            self._people[trait, level] = self._people.get((trait, level), 0) + len(rows)
            for name, series in courses.channels.items():
                self._add(name, number, series[rows])
        merged = courses if self._kept is None else Courses.join([self._kept, courses])
        costs = np.concatenate([self._cost, cost])
        rows = np.argsort(-costs, kind="stable")[: self.worst]
        self._kept, self._cost = merged.take(rows), costs[rows]

    def _add(self, name: str, group: int, series: Series) -> None:
        steps = series.shape[1]
        if name not in self._sums:
            self._sums[name] = np.zeros((3, len(self._groups), steps))
            self._counts[name] = np.zeros((len(self._groups), steps, _BINS), np.int64)
        seen = np.isfinite(series)
        known = np.where(seen, series, 0.0).astype(np.float64)
        self._sums[name][:, group] += seen.sum(axis=0), known.sum(axis=0), (known**2).sum(axis=0)
        place = ((self._scale(name).to_unit(known) + 1.0) * 0.5 * _BINS).astype(np.int64).clip(0, _BINS - 1)
        place += np.arange(steps) * _BINS
        self._counts[name][group] += np.bincount(place[seen], minlength=steps * _BINS).reshape(steps, _BINS)

    def _scale(self, name: str) -> Scale:
        for intervention in self.scenario.interventions:
            if intervention.name == name:
                knee = (intervention.knee or intervention.low or 1.0) if intervention.scale == "log" else 1.0
                return Scale(intervention.scale, 0.0, intervention.most, knee)
        return self.scenario.variable(name).scaling

    def moments(self) -> CourseMoments:
        """Return what was added up."""
        import pandas as pd

        if self._kept is None:
            raise CohortError("no courses were added; allowed: at least one person.")
        mean, sd, quantiles = {}, {}, {}
        with np.errstate(invalid="ignore", divide="ignore"):
            for name, (count, total, square) in self._sums.items():
                mean[name] = total / count
                sd[name] = np.sqrt(np.maximum(square / count - mean[name] ** 2, 0.0))
                quantiles[name] = self._quantiles(name)
        groups = pd.DataFrame([(t, g, self._people[t, g]) for t, g in self._groups], columns=["trait", "group", "n"])
        return CourseMoments(groups, self._kept.time, mean, sd, quantiles, self._kept)

    def _quantiles(self, name: str) -> Floats:
        """Read quantiles off the counts, linear within a bin of the declared scale."""
        below = np.cumsum(self._counts[name], axis=-1)
        total = below[..., -1]
        found = []
        for share in QUANTILES:
            wanted = share * total
            place = (below < wanted[..., None]).sum(axis=-1).clip(0, _BINS - 1)
            inside = np.take_along_axis(self._counts[name], place[..., None], -1)[..., 0]
            before = np.take_along_axis(below, place[..., None], -1)[..., 0] - inside
            unit = (place + (wanted - before) / np.maximum(inside, 1)) / _BINS * 2.0 - 1.0
            found.append(np.where(total > 0, self._scale(name).from_unit(unit), np.nan))
        return np.stack(found)
