"""How good are forecasts where people are treated otherwise than in the training data, or as badly as can be found?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from twingym.evaluation.forecast import comparable, sample, series
from twingym.evaluation.replay import record, record_beyond
from twingym.evaluation.scores import covered, crps, rank
from twingym.scenarios.fidelity_plan import FidelityPlan, Schedule
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

CANDIDATES, PIECES, SCOUTS = 8, 4, 5


def shift(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int
) -> dict[str, dict[str, float | None]]:
    """Score forecasts at the plan's longest horizon under four open-loop treatments after the same past.

    ``planned`` is the plan's schedule; ``random`` gives everybody, at each step, what was planned for another person at
    another time; ``aggressive`` takes the plan's largest factor; ``adversarial`` is, for each person, the one of eight
    schedules (a random factor for each quarter of the horizon) under which the twin model disagrees with itself most.

    Args:
        scenario: A scenario with a reference, which tells what would have happened.
        plan: Schedule, factors and horizons.
        dynamics: The twin model.
        ids: Held-out people.
        seed: Of courses, luck and schedules.
        samples: Futures per person.

    Returns:
        Per treatment ``people``, ``crps``, ``coverage`` of 90 %, ``bias`` of the mean forecast, and the shares of
        people whose course an event ended, ``ended`` and ``ended_reference``; None where nobody's course lasts.
    """
    steps, past = max(plan.horizons.values()), plan.history
    random = np.random.Generator(np.random.Philox(key=seed))
    longest = past + steps

    def after(change: Schedule) -> Schedule:
        """Change the schedule from the end of the history on."""

        def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
            amounts = plan.schedule(traits, inputs, u)
            changed = change(traits, inputs, u)
            return np.concatenate([amounts[:, :past], changed[:, past:]], axis=1)

        return schedule

    order = random.permutation(len(ids) * steps)

    def mixed(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
        amounts = plan.schedule(traits, inputs, u).copy()
        later = amounts[:, past:longest]
        amounts[:, past:longest] = later.reshape(-1, later.shape[-1])[order].reshape(later.shape)
        return amounts

    def pieced(factors: Floats) -> Schedule:
        """Multiply by factors (N, P), one for each part of the horizon."""

        def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
            amounts = plan.schedule(traits, inputs, u)
            part = np.clip((np.arange(amounts.shape[1]) - past) * factors.shape[1] // steps, 0, factors.shape[1] - 1)
            versions = np.stack([plan.shift(amounts, factors[:, k]) for k in range(factors.shape[1])])  # (P, N, T, A)
            return versions[part, :, np.arange(amounts.shape[1])].swapaxes(0, 1)

        return schedule

    tried = random.choice(plan.shifts, size=(CANDIDATES, len(ids), PIECES))
    doubts = []
    for factors in tried:
        known = record(scenario, ids, seed, longest, replace(plan, schedule=after(pieced(factors))))
        _, doubt = sample(scenario, plan, dynamics, known, seed, SCOUTS, steps)
        doubts.append(np.where(np.isfinite(doubt), doubt, 0.0).mean(axis=(0, 2)))
    worst = tried[np.argmax(doubts, axis=0), np.arange(len(ids))]
    treatments: dict[str, Schedule] = {
        "planned": plan.schedule,
        "random": after(mixed),
        "aggressive": after(pieced(np.full((len(ids), 1), max(plan.shifts)))),
        "adversarial": after(pieced(worst)),
    }
    return {
        name: _scored(scenario, replace(plan, schedule=schedule), dynamics, ids, seed, samples, steps)
        for name, schedule in treatments.items()
    }


def _scored(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int, steps: int
) -> dict[str, float | None]:
    known = record_beyond(scenario, ids, seed, steps, plan)
    truth = series(scenario, plan, known.courses, plan.history, steps)
    futures, _ = sample(scenario, plan, dynamics, known, seed, samples, steps)
    there = comparable(futures, truth, steps)
    ended = {
        "ended": float((~np.isfinite(futures[..., -1])).mean()),
        "ended_reference": float((~np.isfinite(truth[:, -1])).mean()),
    }
    if not there.any():
        return {"people": 0, "crps": None, "coverage": None, "bias": None, **ended}
    last, happened = futures[:, there, -1], truth[there, -1]
    tie = uniforms(seed, known.courses.ids[there], 0, Stream.POLICY, 1, 1)[:, 0]
    return {
        "people": int(there.sum()),
        "crps": float(crps(last, happened).mean()),
        "coverage": covered(rank(last, happened, tie), 0.9),
        "bias": float((np.nanmean(last, axis=0) - happened).mean()),
        **ended,
    }
