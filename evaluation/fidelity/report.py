"""How far can a twin model be trusted: every measure of a scenario's fidelity plan, and the bars it must clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.courses import Courses
from twingym.evaluation.fidelity.calibration import LEAST_GROUP, calibration, worst_coverage
from twingym.evaluation.fidelity.dose_response import dose_response
from twingym.evaluation.fidelity.doubt import doubt
from twingym.evaluation.fidelity.effect import effects
from twingym.evaluation.fidelity.forecast import forecast_skill
from twingym.evaluation.fidelity.likelihood import likelihood
from twingym.evaluation.fidelity.model_fairness import model_fairness
from twingym.evaluation.fidelity.paths import path_events
from twingym.evaluation.fidelity.policy_values import policy_values
from twingym.evaluation.fidelity.shift import shift
from twingym.evaluation.fidelity.speed import speed
from twingym.evaluation.fidelity.two_sample import LEVEL as REJECTED
from twingym.evaluation.fidelity.two_sample import two_sample
from twingym.evaluation.rollout import evaluate
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError
from twingym.twins.model import TwinModel

SKILL_BAR = 0.2
EFFECT_BAR, CORRELATION_BAR = 0.15, 0.8
COVERAGE_BAR = (0.87, 0.93)
EVERYBODY_BAR, GROUP_BAR = 0.02, 0.05  # coverage from its level, at any level and horizon
TAU_BAR, PAIRS_BAR, CLOSE_PAIRS_BAR = 0.9, 20, 6
REGRET_BAR, POLICIES_BAR = 0.05, 12
DOUBT_BAR = 0.3
ROUNDING = 1e-9  # a mean of returns may lie this far from where it is
# Names of checks that tables outside a card show too.
EFFECT_OF = "effect of"
TAU, REGRET = "Kendall's tau of policies", "regret at 1, share of the range"
EVERYBODY_COVERED = "coverage from its level, everybody, worst"
GROUPS_COVERED = f"coverage from its level, groups of {LEAST_GROUP} or more, worst"
SHIFT_PEOPLE, SHIFT_SAMPLES, ADVERSARY_PEOPLE = 300, 20, 60

# From a block's name and what computes it to the block; see experiments/finished_blocks.py.
Once = Callable[[str, Callable[[], Any]], Any]


@dataclass(frozen=True)
class Effort:
    """How much is simulated.

    Attributes:
        people: Held-out people per measure; the plan's number if None.
        train_people: People that simple forecasts learn from.
        samples: Futures per person in forecasts and on the way.
        branches: Share of the plan's people whose branches under each dose are followed.
        most_branched: At most so many of them, if not None.
        doubt_samples: Futures per person for disagreement; with few, luck passes for disagreement and for error.
        policy_seeds: Runs of luck per person and policy.
        calibration_people: Held-out people whose forecasts calibration is judged on, one forecast each. The bar holds
            the worst level and horizon to 2 points: chance alone moves that beyond the bar for a right model in 11 % of
            cases with 4,000 people, and hardly ever with as many as these, where coverage is known to 0.5 points at the
            level of 50 %.
        calibration_samples: Futures of each; few do, since calibration does not depend on how many.
        recalibration_people: Validation people who tell what recalibration would gain.
        curve_samples: Futures per person of dose-response curves and path events.
        window_people: Held-out people of the two-sample scores.
    """

    people: int | None = None
    train_people: int = 600
    samples: int = 20
    branches: float = 1.0
    most_branched: int | None = None
    doubt_samples: int = 160
    policy_seeds: int = 1
    calibration_people: int = 12_000
    calibration_samples: int = 12
    recalibration_people: int = 3000
    curve_samples: int = 8
    window_people: int = 1200


# What default tests recompute from the shipped weights.
QUICK = Effort(people=200, train_people=400, branches=0.3, most_branched=1800, doubt_samples=40)


def always(name: str, compute: Callable[[], Any]) -> Any:
    """Compute a block, whatever was computed before."""
    return compute()


def fidelity(
    scenario: Scenario,
    model: TwinModel,
    effort: Effort | None = None,
    policies: Mapping[str, Any] | None = None,
    *,
    seed: int = 20261,
    values: bool = True,
    once: Once = always,
) -> dict[str, Any]:
    """Compare a twin model with the reference on held-out people, as the scenario's plan says.

    Args:
        scenario: A scenario with a reference and a fidelity plan.
        model: Its twin model.
        effort: How much to simulate.
        policies: Further policies for the policy-value block, by name.
        seed: Of courses and luck.
        values: Whether to compute the slow blocks too: all but forecasts, likelihood, effects and disagreement.
        once: Called with the name of each block and what computes it; may return a block that was computed before.

    Returns:
        The blocks by name, and the ``seed``.

    Raises:
        SpecError: If the scenario has no reference or no plan.
    """
    plan, effort = scenario.fidelity, effort or Effort()
    if plan is None or scenario.reference is None:
        missing = "fidelity" if plan is None else "reference"
        raise SpecError(f"scenario {scenario.id!r}: {missing} is None; a card needs a reference and a fidelity plan.")
    count = effort.people or plan.people
    dynamics, ids, train = model.dynamics(), people("test", count), people("train", effort.train_people)
    branched = people("test", int(effort.branches * (plan.effect_people or plan.people)))[: effort.most_branched]
    report: dict[str, Any] = {"seed": seed}
    blocks: dict[str, Callable[[], Any]] = {
        "forecast": lambda: forecast_skill(scenario, plan, dynamics, ids, train, seed, effort.samples),
        "likelihood": lambda: likelihood(scenario, plan, model, ids, seed),
        "effects": lambda: effects(scenario, plan, dynamics, branched, seed, plan.effect_samples),
        "disagreement": lambda: doubt(scenario, plan, dynamics, ids, seed, effort.doubt_samples),
    }
    if values:
        blocks |= _slow_blocks(scenario, plan, dynamics, policies or {}, effort, seed, report)
    for name, compute in blocks.items():
        report[name] = once(name, compute)
    return report


def _slow_blocks(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    policies: Mapping[str, Any],
    effort: Effort,
    seed: int,
    report: Mapping[str, Any],
) -> dict[str, Callable[[], Any]]:
    ids, held_out = people("test", effort.people or plan.people), people("test", plan.policy_people)
    seeds = list(range(seed, seed + effort.policy_seeds))
    anchor = people("test", plan.anchor_people) if plan.anchor_people else None
    many, learners = people("test", effort.calibration_people), people("validation", effort.recalibration_people)
    scored = people("test", SHIFT_PEOPLE + ADVERSARY_PEOPLE)
    longest, few = max(plan.coverage.values()), effort.curve_samples
    return {
        "policies": lambda: policy_values(scenario, plan, dynamics, policies, held_out, seeds, anchor),
        "drift": lambda: drift(scenario, plan, dynamics, len(ids), seed),
        "calibration": lambda: calibration(scenario, plan, dynamics, many, seed, effort.calibration_samples, learners),
        "fairness": lambda: model_fairness(report["calibration"], report["policies"]),
        "dose_response": lambda: dose_response(scenario, plan, dynamics, ids, seed, few),
        "paths": lambda: path_events(scenario, plan, dynamics, ids, seed, few, longest),
        "shift": lambda: shift(
            scenario, plan, dynamics, scored[:SHIFT_PEOPLE], scored[SHIFT_PEOPLE:], seed, SHIFT_SAMPLES
        ),
        "two_sample": lambda: two_sample(scenario, dynamics, people("test", effort.window_people), seed),
        "speed": lambda: speed(scenario, dynamics),
    }


def drift(scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, count: int, seed: int) -> dict[str, float]:
    """Compare the forecast variable's mean and spread at the end of the judged horizon, and since its first fifth.

    Returns:
        Means and standard deviations of both dynamics over the last fifth, and the change of their difference since the
        first fifth of the horizon (what accumulates is drift).
    """
    policy = RulePolicy(scenario, plan.drift)
    part = max(1, scenario.judged_horizon // 5)
    found: dict[str, float] = {}
    for name, world in (("twin", dynamics), ("reference", "reference")):
        result = evaluate(policy, scenario, people("test", count), (seed,), dynamics=world, courses=True)
        assert isinstance(result.courses, Courses)
        series = np.asarray(result.courses.values[plan.variable], dtype=np.float64)  # (N, T + 1)
        found[f"{name}_first"] = float(np.nanmean(series[:, :part]))
        found[f"{name}_last"] = float(np.nanmean(series[:, -part:]))
        found[f"{name}_sd_last"] = float(np.nanstd(series[:, -part:]))
    found["difference_last"] = found["twin_last"] - found["reference_last"]
    found["drift"] = found["difference_last"] - (found["twin_first"] - found["reference_first"])
    return found


def bars(report: Mapping[str, Any], plan: FidelityPlan) -> pd.DataFrame:
    """Hold a report against the bars: one row per check with ``value``, ``bar`` and whether it is cleared."""
    rows: list[tuple[str, float, str, bool]] = []
    for horizon, by_name in report["forecast"]["skill"].items():
        for name, (estimate, low, _) in by_name.items():
            rows.append(
                (f"skill {horizon} over {name}", estimate, ">= 0.2, interval > 0", estimate >= SKILL_BAR and low > 0)
            )
    for label, value in report["forecast"]["coverage"].items():
        rows.append(
            (f"coverage of 90 % after {label}", value, "0.87 to 0.93", COVERAGE_BAR[0] <= value <= COVERAGE_BAR[1])
        )
    for label, effect in report["effects"]["doses"].items():
        ratio, correlation = effect["ratio"][0], effect["correlation"][0]
        rows.append((f"{EFFECT_OF} {label} over the reference's", ratio, "0.85 to 1.15", abs(ratio - 1) <= EFFECT_BAR))
        rows.append((f"correlation of effects of {label}", correlation, ">= 0.8", correlation >= CORRELATION_BAR))
    estimate, low, _ = report["disagreement"]["spearman"]
    rows.append(
        ("disagreement against error (Spearman)", estimate, ">= 0.3, interval > 0", estimate >= DOUBT_BAR and low > 0)
    )
    if "policies" in report:
        rows += _policy_bars(report, plan)
    if "calibration" in report:
        everybody, groups = worst_coverage(report["calibration"], plan.variable)
        within = f"<= {EVERYBODY_BAR}"
        rows.append((EVERYBODY_COVERED, everybody, within, everybody <= EVERYBODY_BAR))
        if groups is not None:
            rows.append((GROUPS_COVERED, groups, f"<= {GROUP_BAR}", groups <= GROUP_BAR))
    if "two_sample" in report:
        same, mixed = (report["two_sample"][control]["p"] for control in ("positive", "negative"))
        rows.append(("two-sample test, reference against itself", same, f"p > {REJECTED}", same > REJECTED))
        rows.append(("two-sample test, a world without memory", mixed, f"p <= {REJECTED}", mixed <= REJECTED))
    return pd.DataFrame(rows, columns=["check", "value", "bar", "cleared"])


def _policy_bars(report: Mapping[str, Any], plan: FidelityPlan) -> list[tuple[str, float, str, bool]]:
    block, drifted = report["policies"], report["drift"]["drift"]
    count = len(block["values"])
    enough = block["pairs"] >= PAIRS_BAR and block["close_pairs"] >= CLOSE_PAIRS_BAR
    close = block["worst"] <= plan.tolerance + ROUNDING
    return [
        (TAU, block["tau"], f">= {TAU_BAR}", block["tau"] >= TAU_BAR),
        (REGRET, block["regret"], f"<= {REGRET_BAR}", block["regret"] <= REGRET_BAR),
        ("policies", count, f">= {POLICIES_BAR}", count >= POLICIES_BAR),
        ("resolved pairs of policies", block["pairs"], f">= {PAIRS_BAR}, {CLOSE_PAIRS_BAR} close", enough),
        (f"largest error of {plan.metric}", block["worst"], f"<= {plan.tolerance}", close),
        (f"drift of {plan.variable}", drifted, f"within {plan.drift_tolerance}", abs(drifted) <= plan.drift_tolerance),
    ]
