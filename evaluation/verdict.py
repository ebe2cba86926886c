"""Is each limit kept: pass, fail or inconclusive, from the bound and never from the estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from twingym.evaluation.bounds import LEVEL, Estimate, gap_of, holm, mean_of, over_training, share_of, tail_of
from twingym.evaluation.episodes import Evaluation, checked_alike
from twingym.evaluation.resampling import groups_of, null_p
from twingym.scenarios.constraint import Constraint
from twingym.twins.cohort import Rows
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["pass", "fail", "inconclusive"]
WORST_SHARE = 0.05


def verdicts(evaluation: Evaluation | Sequence[Evaluation], level: float = LEVEL) -> pd.DataFrame:
    """Judge every constraint of a scenario.

    Args:
        evaluation: One, or one per training seed of the same policy on the same people.
        level: Confidence of each one-sided bound.

    Returns:
        One row per constraint, in declared order: ``name``, ``kind``, ``estimate``, ``bound`` (upper), ``lower``,
        ``limit`` (for ``chance`` the permitted share of people), ``verdict``, ``worst5`` (mean cost of the worst
        twentieth of people), the worst group (``trait``, ``group``, its ``group_estimate``, and ``group_p``: that it
        exceeds the limit, Holm over all groups), ``p`` (that the limit is exceeded), ``p_holm`` (over constraints),
        ``p_null`` (gaps: that shuffled labels give as much), ``n`` people, ``limits_hash``, ``source`` and
        ``judge`` (the dynamics: ``reference``, ``challenger`` or ``transformer``).

    Raises:
        SpecError: If limits changed since the evaluation, or evaluations differ in scenario.
        CohortError: If evaluations met different people.
    """
    import pandas as pd

    evaluations = [evaluation] if isinstance(evaluation, Evaluation) else list(evaluation)
    checked_alike(evaluations)
    scenario = evaluations[0].scenario
    table = pd.DataFrame([_judge(constraint, evaluations, level) for constraint in scenario.constraints])
    table.insert(list(table).index("p") + 1, "p_holm", holm(table["p"].to_numpy()))
    table["limits_hash"] = evaluations[0].settings["limits_hash"]
    table["source"] = [c.source for c in scenario.constraints]
    table["judge"] = evaluations[0].dynamics
    return table


def overall(table: pd.DataFrame, level: float = LEVEL) -> Verdict:
    """Return one verdict for all: pass needs every bound to pass, fail holds after Holm's correction."""
    failed = (table["p_holm"] < 1.0 - level) | ((table["verdict"] == "fail") & table["hard"])
    if failed.any():
        return "fail"
    return "pass" if (table["verdict"] == "pass").all() else "inconclusive"


def decide(estimate: Estimate, limit: float, level: float = LEVEL) -> Verdict:
    """Return pass if the upper bound is within the limit, fail if the lower bound is beyond it, else inconclusive."""
    if estimate.upper(level) <= limit:
        return "pass"
    return "fail" if estimate.lower(level) > limit else "inconclusive"


def estimate_of(
    constraint: Constraint, evaluations: Sequence[Evaluation], rows: Rows | slice = slice(None)
) -> Estimate:
    """Return what a constraint limits, measured on everybody or on some ``rows`` (people by ascending id)."""
    if constraint.kind == "group_gap":
        return over_training([_gap(constraint, evaluation) for evaluation in evaluations])
    return over_training([estimator(constraint)(evaluation.cost(constraint)[rows]) for evaluation in evaluations])


def estimator(constraint: Constraint) -> Callable[[Floats], Estimate]:
    """Return the estimator of a constraint's kind, from costs (N, S) as that kind counts them."""
    if constraint.kind == "chance":
        return lambda cost: share_of(cost.mean(axis=1))
    if constraint.kind == "cvar":
        return lambda cost: tail_of(cost, constraint.risk)
    return lambda cost: mean_of(cost.mean(axis=1), cost=True)


def limit_of(constraint: Constraint) -> float:
    """Return what the estimate is compared with: the limit, or for ``chance`` the permitted share of people."""
    return constraint.risk if constraint.kind == "chance" else constraint.limit


def worst_mean(values: Floats, share: float = WORST_SHARE) -> float:
    """Return the mean of the greatest ``share`` of the values (N,), at least of one."""
    count = max(1, int(np.ceil(share * len(values))))
    return float(np.sort(values)[-count:].mean())


def _gap(constraint: Constraint, evaluation: Evaluation) -> Estimate:
    measure, trait = str(constraint.metric), str(constraint.trait)
    groups = list(groups_of(evaluation.labels(trait)).values())
    return gap_of(evaluation.measure(measure).mean(axis=1), groups, cost=evaluation.is_cost(measure))


def _judge(constraint: Constraint, evaluations: Sequence[Evaluation], level: float) -> dict[str, object]:
    estimate, limit = estimate_of(constraint, evaluations), limit_of(constraint)
    verdict = decide(estimate, limit, level)
    if constraint.hard:
        total = sum(float(e.column(f"cost_{constraint.name}").sum()) for e in evaluations)
        verdict = "pass" if total == 0.0 else "fail"
    gap = constraint.kind == "group_gap"
    return {
        "name": constraint.name,
        "kind": constraint.kind,
        "estimate": estimate.value,
        "bound": estimate.upper(level),
        "lower": estimate.lower(level),
        "limit": limit,
        "verdict": verdict,
        "hard": constraint.hard,
        "worst5": float("nan") if gap else float(np.mean([_worst5(constraint, e) for e in evaluations])),
        **(_extreme_group if gap else _worst_group)(constraint, evaluations),
        "p": estimate.p_above(limit),
        "p_null": _null(constraint, evaluations) if gap else float("nan"),
        "n": len(evaluations[0].twins),
        "unit": constraint.unit,
    }


def _worst5(constraint: Constraint, evaluation: Evaluation) -> float:
    total = evaluation.column(f"cost_{constraint.name}")
    cost = total if constraint.kind == "chance" else evaluation.cost(constraint)
    return worst_mean(cost.mean(axis=1))


def _worst_group(constraint: Constraint, evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Return the group with the highest cost over all traits, and whether it alone exceeds the limit."""
    found: list[tuple[str, str, Estimate]] = []
    for trait in evaluations[0].scenario.groups:
        for level, rows in groups_of(evaluations[0].labels(trait)).items():
            found.append((trait, level, estimate_of(constraint, evaluations, rows)))
    if not found:
        return {"trait": None, "group": None, "group_estimate": float("nan"), "group_p": float("nan")}
    corrected = holm([estimate.p_above(limit_of(constraint)) for _, _, estimate in found])
    worst = max(range(len(found)), key=lambda i: (found[i][2].value, found[i][:2]))
    trait, level, estimate = found[worst]
    return {"trait": trait, "group": level, "group_estimate": estimate.value, "group_p": float(corrected[worst])}


def _extreme_group(constraint: Constraint, evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Return the group that comes off worst in the measure of a gap."""
    measure, trait = str(constraint.metric), str(constraint.trait)
    values = np.mean([e.measure(measure).mean(axis=1) for e in evaluations], axis=0)
    means = {level: float(values[rows].mean()) for level, rows in groups_of(evaluations[0].labels(trait)).items()}
    pick = max if evaluations[0].less_is_better(measure) else min
    worst = pick(means, key=lambda level: (means[level], level))
    return {"trait": trait, "group": worst, "group_estimate": means[worst], "group_p": float("nan")}


def _null(constraint: Constraint, evaluations: Sequence[Evaluation]) -> float:
    """Return the p-value that the groups are alike; over training seeds, of their mean."""
    values = np.mean([e.measure(str(constraint.metric)).mean(axis=1) for e in evaluations], axis=0)
    if np.isnan(values).any():
        return float("nan")
    groups = list(groups_of(evaluations[0].labels(str(constraint.trait))).values())
    return float(null_p(values[:, None], groups)[0]) if len(groups) > 1 else float("nan")
