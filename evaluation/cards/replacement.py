"""May a new twin model take the place of an old one: what would be lost?"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan
from typing import Any

import numpy as np

from twingym.evaluation.fidelity.forecast import comparable, sample, series
from twingym.evaluation.fidelity.held_out import (
    MOST_PEOPLE,
    Task,
    by_person,
    recorded_of,
    scored_places,
    unfold_recorded,
)
from twingym.evaluation.fidelity.recorded_likelihood import gain, log_likelihood
from twingym.evaluation.fidelity.replay import record_beyond
from twingym.evaluation.fidelity.scores import crps, skill
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.courses import Courses
from twingym.twins.model import TwinModel

PEOPLE, SAMPLES = 500, 20


def lost_bars(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return which bars the old card cleared and the new one misses, in words."""
    had = {row["check"] for row in old.get("bars", ()) if row["cleared"]}  # cards of long ago had none
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
        Horizon, in words -> skill of the new over the old (one minus the ratio of CRPS), with its 95 % interval over
        people; minus infinity where courses go on that end in nearly all futures of the new one, but not of the old
        one, and NaN where those of both do.
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
            found[f"{label} ahead"] = (-inf if lasting[0].any() else nan,) * 3
            continue
        before, after = (crps(f[:, there, steps - 1], truth[there, steps - 1]) for f in futures)
        found[f"{label} ahead"] = skill(after, before, seed)
    return found


def clearly_worse(found: Mapping[str, tuple[float, float, float]]) -> list[str]:
    """Return at which horizons the new model is worse with its whole interval, in words."""
    return [
        f"courses that go on {label} end in nearly all its futures"
        if estimate == -inf
        else f"its CRPS {label} is {-estimate:.1%} higher ({-high:.1%} to {-low:.1%})"
        for label, (estimate, low, high) in found.items()
        if high < 0.0
    ]


def less_likely(old: TwinModel, new: TwinModel, test: Courses) -> list[str]:
    """Return, in words, if courses of held-out people are less likely under the new model, with the whole interval."""
    (before, counts), (after, _) = (log_likelihood(model, test) for model in (old, new))
    value, low, high = gain(after, before, counts)
    return [f"held-out values are {-value:.3g} nats less likely ({-high:.3g} to {-low:.3g})"] if high < 0.0 else []


def worse_on_recorded(scenario: Scenario, old: TwinModel, new: TwinModel) -> list[str]:
    """Compare two twin models of a table on its held-out people, with the same luck, where there is no reference.

    Returns:
        In words, what the new one forecasts worse with its whole interval over people; empty if nothing.
    """
    recorded = recorded_of(scenario)
    plan, task = recorded.held_out, Task.of(recorded, "test")
    test = recorded.known().take(recorded.rows("test")[:MOST_PEOPLE])
    found = less_likely(old, new, test)
    longest = max(last for _, last in plan.horizons.values())
    futures = [unfold_recorded(scenario, m.dynamics(reveal=True), task, longest, SAMPLES) for m in (old, new)]
    for name in plan.variables:
        column = [v.name for v in scenario.variables].index(name)
        truth = task.truth(column, longest, plan.total)
        drawn = [f[..., column] for f in futures]
        drawn = [f.cumsum(axis=2) if plan.total else f for f in drawn]
        for label, span in plan.horizons.items():
            places = [scored_places(f, truth, span, plan.total) for f in drawn]
            row, step = np.nonzero(places[0] & places[1])
            if len(row):
                scores = (by_person(crps(f[:, row, step], truth[row, step]), task.person[row]) for f in drawn)
                was, is_now = scores
                found += clearly_worse({f"of {name} {label}": skill(is_now, was)})
    return found
