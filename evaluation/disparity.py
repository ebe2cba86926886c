"""Who gains, who is harmed, and by how much do groups differ?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twingym.evaluation.bounds import LEVEL, gap_of, holm, share_of
from twingym.evaluation.episodes import BENEFIT_RATE, Evaluation, checked_alike, returns
from twingym.evaluation.resampling import Replicates, bootstrap, groups_of, max_gap, null_p
from twingym.scenarios.validation import RETURN_METRIC
from twingym.twins.cohort import Rows
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

FEW = 30
EVERYBODY = "all"


@dataclass(frozen=True)
class Fairness:
    """What groups got from a policy.

    Attributes:
        groups: One row per trait (and full intersection), group and measure: ``trait``, ``group``, ``measure``, ``n``
            people, ``few`` (fewer than 30: read with care), ``estimate``, and its 95 % interval ``low``, ``high``.
        gaps: One row per trait and measure: ``gap`` (greatest difference between groups, biased upwards), one-sided
            bounds ``lower`` and ``upper``, ``ratio`` (least over greatest, where positive), ``worst`` group, ``p_null``
            (that shuffled labels give as great a gap), ``p_holm`` (over all rows), ``few``.
    """

    groups: pd.DataFrame
    gaps: pd.DataFrame

    def by_group(self, trait: str) -> pd.DataFrame:
        """Return the estimates of one trait, groups by measures."""
        rows = self.groups[self.groups["trait"] == trait]
        return rows.pivot(index="group", columns="measure", values="estimate")


@dataclass(frozen=True)
class Measures:
    """M measures of N people.

    Attributes:
        names: Their names.
        amounts: Numbers, shape (N, M).
        per: What they are divided by after summing, shape (N, M): ones, but for a ratio of sums.
    """

    names: tuple[str, ...]
    amounts: Floats
    per: Floats

    def only(self, names: Sequence[str]) -> Floats:
        """Return the numbers of some measures, shape (N, len(names))."""
        return self.amounts[:, [self.names.index(name) for name in names]]

    def linearised(self, measure: int, groups: Iterable[Rows]) -> Floats:
        """Return one number per person, shape (N,), whose group means are the groups' values, with the same spread."""
        amounts, per = self.amounts[:, measure], self.per[:, measure]
        found = np.full(len(amounts), np.nan)
        for rows in groups:
            total = per[rows].sum()
            if total != 0.0:
                ratio = amounts[rows].sum() / total
                found[rows] = ratio + (amounts[rows] - ratio * per[rows]) * len(rows) / total
        return found


def fairness(evaluation: Evaluation, baseline: Evaluation | None = None, tolerance: float = 0.0) -> Fairness:
    """Compare groups, and their full intersection, on return, costs, metrics, exposure and benefit.

    The unit is the person: several seeds of one are averaged first. Intervals are bootstrap-t, resampling people within
    groups; those of shares are exact. Benefit over the baseline (``gain``) is paired by person and seed; ``harmed`` is
    the share of people who lose more than ``tolerance``; ``benefit_rate`` is met need over need, a ratio of sums
    (ELBERT, Xu et al. 2024).

    Args:
        evaluation: What is judged.
        baseline: What the same people got from the baseline; needed for ``gain`` and ``harmed`` unless the evaluation
            was given ``baseline_episodes``.
        tolerance: Loss of return that is no harm.

    Raises:
        CohortError: If the baseline met other people.
        SpecError: If the baseline is of another scenario.
    """
    import pandas as pd

    if baseline is not None:
        checked_alike([evaluation, baseline], seeds=False)
    measures = measures_of(evaluation, baseline, tolerance)
    rows: list[dict[str, object]] = []
    gaps: list[dict[str, object]] = []
    for trait, groups in _groupings(evaluation):
        drawn = _drawn(measures, groups)
        rows += _group_rows(evaluation, trait, groups, measures, drawn)
        if len(groups) > 1:
            gaps += _gap_rows(evaluation, trait, groups, measures, drawn)
    table = pd.DataFrame(gaps)
    if len(table):
        table.insert(list(table).index("p_null") + 1, "p_holm", holm(table["p_null"].to_numpy()))
    return Fairness(pd.DataFrame(rows), table)


def group_changes(evaluation: Evaluation, other: Evaluation) -> pd.DataFrame:
    """Return how much more of each measure each group got here than in the ``other`` evaluation of the same people.

    Returns:
        A table as :attr:`Fairness.groups`; estimates and intervals are those of differences, paired by person.
    """
    import pandas as pd

    here, there = measures_of(evaluation), measures_of(other)
    names = [name for name in here.names if name in there.names and name != BENEFIT_RATE]
    change = here.only(names) - there.only(names)
    measures = Measures(tuple(names), change, np.ones_like(change))
    rows: list[dict[str, object]] = []
    for trait, groups in _groupings(evaluation):
        rows += _group_rows(evaluation, trait, groups, measures, _drawn(measures, groups), shares=False)
    return pd.DataFrame(rows)


def gap_change(
    evaluation: Evaluation, other: Evaluation, trait: str, measure: str, level: float = LEVEL
) -> tuple[float, float, float]:
    """Return how much greater a gap between groups is here than in the ``other`` evaluation of the same people.

    Returns:
        The difference of the gaps and its two-sided interval; people are resampled within groups, in both alike.
    """
    both = np.stack([e.measure(measure).mean(axis=1) for e in (evaluation, other)], axis=1)  # (N, 2)
    drawn = bootstrap(both, list(groups_of(evaluation.labels(trait)).values()))
    here, there = max_gap(drawn.value)
    resampled = max_gap(drawn.values)  # (B, 2)
    low, high = np.quantile(resampled[:, 0] - resampled[:, 1], [0.5 - level / 2, 0.5 + level / 2])
    return float(here - there), float(low), float(high)


def measures_of(evaluation: Evaluation, baseline: Evaluation | None = None, tolerance: float = 0.0) -> Measures:
    """Return every measure that is known for everybody, people by ascending id."""
    scenario = evaluation.scenario
    wanted = (RETURN_METRIC, *(c.name for c in scenario.costs), *(m.name for m in scenario.metrics), "exposure")
    means = {name: evaluation.measure(name).mean(axis=1) for name in wanted}
    if baseline is not None:
        means["gain"] = returns(evaluation) - returns(baseline)
    elif "gain" in evaluation.episodes:
        means["gain"] = evaluation.measure("gain").mean(axis=1)
    if "gain" in means:
        means["harmed"] = (means["gain"] < -tolerance).astype(np.float64)
    known = {name: values for name, values in means.items() if not np.isnan(values).any()}
    columns = {name: (values, np.ones_like(values)) for name, values in known.items()}
    if "need" in evaluation.episodes:
        columns[BENEFIT_RATE] = (evaluation.measure("benefit").sum(axis=1), evaluation.measure("need").sum(axis=1))
    amounts, per = (np.stack(parts, axis=1) for parts in zip(*columns.values(), strict=True))
    return Measures(tuple(columns), amounts, per)


def _groupings(evaluation: Evaluation) -> Iterator[tuple[str, dict[str, Rows]]]:
    """Yield everybody as one group, then the groups of each trait and of their full intersection."""
    yield EVERYBODY, {EVERYBODY: np.arange(len(evaluation.twins))}
    for trait in evaluation.partitions:
        yield trait, groups_of(evaluation.labels(trait))


def _drawn(measures: Measures, groups: Mapping[str, Rows]) -> Replicates:
    return bootstrap(measures.amounts, list(groups.values()), measures.per)


def _group_rows(
    evaluation: Evaluation,
    trait: str,
    groups: Mapping[str, Rows],
    measures: Measures,
    drawn: Replicates,
    *,
    shares: bool = True,
) -> list[dict[str, object]]:
    low, high = drawn.interval(LEVEL)
    found: list[dict[str, object]] = []
    for group in sorted(groups, key=lambda group: evaluation.rank(trait, group)):
        g, rows = list(groups).index(group), groups[group]
        for m, name in enumerate(measures.names):
            values = measures.amounts[rows, m]
            interval = low[g, m], high[g, m]
            if shares and name != BENEFIT_RATE and np.isin(values, (0.0, 1.0)).all():
                share = share_of(values)  # exact, where a bootstrap of few ones or none says nothing
                interval = share.interval()
            row = {"trait": trait, "group": group, "measure": name, "n": len(rows), "few": len(rows) < FEW}
            found.append({**row, "estimate": drawn.value[g, m], "low": interval[0], "high": interval[1]})
    return found


def _gap_rows(
    evaluation: Evaluation, trait: str, groups: Mapping[str, Rows], measures: Measures, drawn: Replicates
) -> list[dict[str, object]]:
    everyone, names = list(groups.values()), list(groups)
    gaps = max_gap(drawn.value)
    p_null = null_p(measures.amounts, everyone, measures.per)
    found: list[dict[str, object]] = []
    for m, name in enumerate(measures.names):
        values = measures.linearised(m, everyone)
        gap = gap_of(values, everyone, evaluation.is_cost(name), drawn.only(m))
        means = drawn.value[:, m]
        row: dict[str, object] = {"trait": trait, "measure": name, "gap": gaps[m]}
        row |= {"lower": gap.lower(LEVEL), "upper": gap.upper(LEVEL)}
        row["ratio"] = means.min() / means.max() if means.min() > 0.0 else float("nan")
        row["worst"] = names[int(means.argmax() if evaluation.less_is_better(name) else means.argmin())]
        found.append({**row, "p_null": p_null[m], "few": min(map(len, everyone)) < FEW})
    return found
