"""Which policy is better, on what, under which dynamics, and how much of the gain survives on the reference?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twingym.evaluation.bounds import LEVEL, Estimate, mean_of, over_training
from twingym.evaluation.disparity import fairness, gap_change, group_changes
from twingym.evaluation.episodes import Evaluation, checked_alike, pooled
from twingym.evaluation.judge import JUDGES
from twingym.evaluation.verdict import overall, verdicts
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.validation import RETURN_METRIC
from twingym.twins.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

Runs = Evaluation | Sequence[Evaluation]
TWIN, REFERENCE = "transformer", "reference"
OVERALL = "overall"


@dataclass(frozen=True)
class Comparison:
    """Policies side by side.

    Attributes:
        tidy: One row per policy, dynamics and quantity: ``policy``, ``dynamics``, ``quantity``, ``what`` (``measure``,
            ``constraint``, ``gain``, ``exploitation`` or ``verdict``), ``unit``, ``estimate``, ``low``, ``high`` (95 %
            interval of a measure; one-sided 95 % bounds of a constraint), ``limit``, ``verdict``, and ``judge`` (of an
            ``exploitation``: what the twin model is compared with).
        verdicts: The verdict tables of all, with ``policy`` and ``dynamics``.
        groups: The fairness tables by group of all, the same way; where ``dynamics`` is ``transformer - reference``
            (or ``transformer - challenger``), what the twin model promised each group beyond its judge.
        gaps: The gaps between groups of all, the same way.
    """

    tidy: pd.DataFrame
    verdicts: pd.DataFrame
    groups: pd.DataFrame
    gaps: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """One row per policy and dynamics: estimates, each constraint's bound and verdict, and the overall verdict."""
        keys = ["policy", "dynamics"]
        order = self.tidy[keys].drop_duplicates().itertuples(index=False, name=None)
        numbers = self.tidy[self.tidy["what"].isin(["measure", "gain"])]
        wide = numbers.pivot(index=keys, columns="quantity", values="estimate")[list(numbers["quantity"].unique())]
        limits = self.tidy[self.tidy["what"] == "constraint"]
        for name in limits["quantity"].unique():
            rows = limits[limits["quantity"] == name].set_index(keys)
            wide[name], wide[f"{name}_bound"], wide[f"{name}_verdict"] = rows["estimate"], rows["high"], rows["verdict"]
        survived = self.tidy[(self.tidy["what"] == "exploitation") & (self.tidy["quantity"] == RETURN_METRIC)]
        if len(survived):
            promised = survived.set_index("policy")["estimate"]
            wide["exploitation_gap"] = wide.index.get_level_values("policy").map(promised.to_dict())
        wide["verdict"] = self.tidy[self.tidy["what"] == "verdict"].set_index(keys)["verdict"]
        return wide.loc[list(order)].rename_axis(columns=None)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return all tables by name, as :func:`~twingym.evaluation.tables.write_tables` takes them."""
        return {
            "comparison": self.table.reset_index(),
            "comparison_tidy": self.tidy,
            "verdicts": self.verdicts,
            "groups": self.groups,
            "gaps": self.gaps,
        }


def compare(evaluations: Mapping[str, Mapping[str, Runs]], level: float = LEVEL) -> Comparison:
    """Put policies side by side: return, metrics, constraints, gaps between groups, and what the twin model promised.

    Args:
        evaluations: By policy and then by dynamics (``transformer``, and its judge: ``reference`` or ``challenger``):
            one evaluation, or one per training seed. The scenario's baseline, under the same dynamics, is what ``gain``
            is measured from.
        level: Confidence of the one-sided bounds.

    Raises:
        SpecError: If there is none, or scenarios, limits or horizons differ.
        CohortError: If people or seeds differ.
    """
    import pandas as pd

    runs = {(policy, place): _several(run) for policy, places in evaluations.items() for place, run in places.items()}
    if not runs:
        raise SpecError("no evaluation was given; allowed: {policy: {dynamics: evaluation}}.")
    checked_alike([e for several in runs.values() for e in several])
    scenario = next(iter(runs.values()))[0].scenario
    rows: list[dict[str, object]] = []
    judged: list[pd.DataFrame] = []
    by_group: list[pd.DataFrame] = []
    apart: list[pd.DataFrame] = []
    for (policy, place), several in runs.items():
        table = verdicts(several, level)
        baseline = runs.get((scenario.baseline, place))
        key = {"policy": policy, "dynamics": place}
        found = (*_measured(several), *_gained(several, baseline), *_constrained(table, level))
        rows += [{**key, **row} for row in found]
        together = pooled(several)
        judge = next((name for name in JUDGES if (policy, name) in runs), None)
        if place == TWIN and judge is not None:
            kept = runs[policy, judge]
            rows += [{**key, **row, "judge": judge} for row in _promised(several, kept, level)]
            beyond = group_changes(together, pooled(kept))
            by_group.append(beyond.assign(policy=policy, dynamics=f"{TWIN} - {judge}"))
        fair = fairness(together, pooled(baseline) if baseline else None)
        for tables, part in ((judged, table), (by_group, fair.groups), (apart, fair.gaps)):
            tables.append(part.assign(**key)[[*key, *part.columns]])
    joined = [pd.concat(tables, ignore_index=True) for tables in (judged, by_group, apart)]
    columns = ["policy", "dynamics", "quantity", "what", "unit", "estimate", "low", "high", "limit", "verdict", "judge"]
    return Comparison(pd.DataFrame(rows).reindex(columns=columns), *joined)


def exploitation(twin: Runs, reference: Runs, level: float = LEVEL) -> pd.DataFrame:
    """Return what the twin model promised beyond the reference: the same policy, people and luck, one minus the other.

    Args:
        twin: Under the twin model: one evaluation, or one per training seed.
        reference: Under the reference, in the same order.
        level: Confidence of the two-sided interval.

    Returns:
        One row per measure, cost and gap between groups: ``quantity``, ``what`` (``exploitation``), ``unit``,
        ``estimate``, ``low``, ``high``.

    Raises:
        SpecError: If they are not pairs.
        CohortError: If they met different people.
    """
    import pandas as pd

    return pd.DataFrame(_promised(_several(twin), _several(reference), level))


def _promised(promised: Sequence[Evaluation], kept: Sequence[Evaluation], level: float) -> list[dict[str, object]]:
    if len(promised) != len(kept):
        raise SpecError(f"{len(promised)} evaluations on the twin model, {len(kept)} on the reference; allowed: pairs.")
    checked_alike([*promised, *kept])
    rows: list[dict[str, object]] = []
    for name, unit in _measures(promised[0].scenario).items():
        pairs = [mean_of((a.measure(name) - b.measure(name)).mean(axis=1)) for a, b in zip(promised, kept, strict=True)]
        rows.append({"what": "exploitation", **_interval(name, unit, over_training(pairs), level)})
    here, there = pooled(promised), pooled(kept)
    for gap in (c for c in here.scenario.constraints if c.kind == "group_gap"):
        change, low, high = gap_change(here, there, str(gap.trait), str(gap.metric), level)
        row = {"quantity": gap.name, "unit": gap.unit, "estimate": change, "low": low, "high": high}
        rows.append({"what": "exploitation", **row})
    return rows


def _several(run: Runs) -> list[Evaluation]:
    return [run] if isinstance(run, Evaluation) else list(run)


def _measures(scenario: Scenario) -> dict[str, str]:
    """Return the measures that are compared, and their units."""
    units = {RETURN_METRIC: "", **{m.name: m.unit for m in scenario.metrics}}
    return units | {c.name: "share of people" if c.kind == "chance" else c.unit for c in scenario.costs}


def _interval(name: str, unit: str, estimate: Estimate, level: float) -> dict[str, object]:
    low, high = estimate.interval(level)
    return {"quantity": name, "unit": unit, "estimate": estimate.value, "low": low, "high": high}


def _measured(several: Sequence[Evaluation]) -> list[dict[str, object]]:
    scenario = several[0].scenario
    units = {RETURN_METRIC: "", **{m.name: m.unit for m in scenario.metrics}, "exposure": "share of steps"}
    if not np.isnan(several[0].column("disagreement")).any():
        units["disagreement"] = "typical changes"
    found = []
    for name, unit in units.items():
        estimate = over_training([mean_of(e.measure(name).mean(axis=1)) for e in several])
        found.append({"what": "measure", **_interval(name, unit, estimate, LEVEL)})
    return found


def _gained(several: Sequence[Evaluation], baseline: Sequence[Evaluation] | None) -> list[dict[str, object]]:
    if baseline is None:
        return []
    base = np.mean([b.measure(RETURN_METRIC) for b in baseline], axis=0)
    gain = over_training([mean_of((e.measure(RETURN_METRIC) - base).mean(axis=1)) for e in several])
    return [{"what": "gain", **_interval("gain", "", gain, LEVEL)}]


def _constrained(table: pd.DataFrame, level: float) -> list[dict[str, object]]:
    names = {"name": "quantity", "bound": "high", "lower": "low"}
    kept = table.rename(columns=names)[["quantity", "unit", "estimate", "low", "high", "limit", "verdict"]]
    rows: list[dict[str, object]] = [{str(k): v for k, v in row.items()} for row in kept.to_dict("records")]
    last: dict[str, object] = {"what": "verdict", "quantity": OVERALL, "verdict": overall(table, level)}
    return [*({"what": "constraint", **row} for row in rows), last]
