"""May a new twin model take the place of an old one: what would be lost?"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan
from typing import Any

from twingym.evaluation.forecast import comparable, sample, series
from twingym.evaluation.replay import record_beyond
from twingym.evaluation.scores import crps, skill
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.model import TwinModel

PEOPLE, SAMPLES = 500, 20


def lost_bars(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return which bars the old card cleared and the new one misses, in words."""
    had = {row["check"] for row in old["bars"] if row["cleared"]}
    return [
        f"{row['check']} is {row['value']:.3g}, wanted {row['bar']}, which the old one cleared"
        for row in new["bars"]
        if row["check"] in had and not row["cleared"]
    ]


def paired_skill(
    scenario: Scenario, plan: FidelityPlan, old: TwinModel, new: TwinModel, seed: int = 20261
) -> dict[str, tuple[float, float, float]]:
    """Compare two twin models on the same held-out people with the same luck.

    Returns:
        Horizon -> skill of the new over the old (one minus the ratio of CRPS), with its 95 % interval over people;
        minus infinity where courses go on that end in nearly all futures of the new one, but not of the old one, and
        NaN where those of both do.
    """
    longest = max(plan.horizons.values())
    known = record_beyond(scenario, people("test", PEOPLE), seed, longest, plan)
    truth = series(scenario, plan, known.courses, plan.history, longest)
    futures = [sample(scenario, plan, m.dynamics(), known, seed, SAMPLES, longest)[0] for m in (old, new)]
    found = {}
    for label, steps in plan.horizons.items():
        lasting = [comparable(f, truth, steps) for f in futures]
        there = lasting[0] & lasting[1]
        if not there.any():
            found[label] = (-inf if lasting[0].any() else nan,) * 3
            continue
        before, after = (crps(f[:, there, steps - 1], truth[there, steps - 1]) for f in futures)
        found[label] = skill(after, before, seed)
    return found


def clearly_worse(found: Mapping[str, tuple[float, float, float]]) -> list[str]:
    """Return at which horizons the new model is worse with its whole interval, in words."""
    return [
        f"courses that go on {label} ahead end in nearly all its futures"
        if estimate == -inf
        else f"its CRPS {label} ahead is {-estimate:.1%} higher ({-high:.1%} to {-low:.1%})"
        for label, (estimate, low, high) in found.items()
        if high < 0.0
    ]
