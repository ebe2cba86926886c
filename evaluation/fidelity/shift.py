"""How good are forecasts where people are treated otherwise than in the training data, or as badly as can be found?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from twingym.evaluation.fidelity.effect import PersonalEffect, compared
from twingym.evaluation.fidelity.forecast import comparable, sample, series
from twingym.evaluation.fidelity.replay import Record, record, record_beyond
from twingym.evaluation.fidelity.scores import covered, crps, rank, ties
from twingym.scenarios.fidelity_plan import FidelityPlan, Schedule
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

CANDIDATES, PIECES, SCOUTS = 8, 4, 5
ROUNDS, ELITE = 3, 2  # of the search: rounds, and the candidates that survive one
LEAST_SPREAD = 0.1  # of the range of factors: so that no round repeats the one before


def shift(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, others: Ids, seed: int, samples: int
) -> dict[str, dict[str, Any]]:
    """Score forecasts at the plan's longest horizon under five open-loop treatments after the same past.

    ``planned`` is the plan's schedule; ``random`` gives everybody, at each step, what was planned for another person at
    another time; ``aggressive`` takes the plan's largest factor; ``doubted`` is, for each person, the one of eight
    schedules (a random factor for each quarter of the horizon) under which the twin model disagrees with itself most;
    ``adversarial`` is the schedule, the same factors for everybody, under which a search on other people found the twin
    model to be furthest from the reference (cross-entropy method, Rubinstein 1999, Methodol. Comput. Appl. Probab.
    1:127).

    Args:
        scenario: A scenario with a reference, which tells what would have happened.
        plan: Schedule, factors and horizons.
        dynamics: The twin model.
        ids: Held-out people.
        others: Other held-out people, on whom the adversary searches: what is found on those who are scored would be
            worse than it is.
        seed: Of courses, luck and schedules.
        samples: Futures per person.

    Returns:
        Per treatment ``people``, ``crps``, ``coverage`` of 90 %, ``bias`` of the mean forecast, ``error`` (root mean
        square distance of a person's mean forecast from the reference's, chance taken off, [estimate, low, high]), and
        the shares of people whose course an event ended, ``ended`` and ``ended_reference``; None where nobody's course
        lasts. For ``adversarial`` its ``factors`` too.
    """
    steps, past = max(plan.horizons.values()), plan.history
    random = np.random.Generator(np.random.Philox(key=seed))
    order = random.permutation(len(ids) * steps)

    def mixed(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
        amounts = plan.schedule(traits, inputs, u).copy()
        later = amounts[:, past : past + steps]
        amounts[:, past : past + steps] = later.reshape(-1, later.shape[-1])[order].reshape(later.shape)
        return amounts

    found = _adversary(scenario, plan, dynamics, others, seed, random)
    treatments: dict[str, Schedule] = {
        "planned": plan.schedule,
        "random": _after(plan, mixed),
        "aggressive": pieced(plan, np.full((len(ids), 1), max(plan.shifts))),
        "doubted": pieced(plan, _doubted(scenario, plan, dynamics, ids, seed, random)),
        "adversarial": pieced(plan, np.tile(found, (len(ids), 1))),
    }
    report = {
        name: _scored(scenario, replace(plan, schedule=schedule), dynamics, ids, seed, samples)
        for name, schedule in treatments.items()
    }
    report["adversarial"]["factors"] = found.tolist()
    return report


def pieced(plan: FidelityPlan, factors: Floats) -> Schedule:
    """Multiply the plan's schedule, after the history, by factors (N, P): one for each part of the longest horizon."""
    steps = max(plan.horizons.values())

    def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
        amounts = plan.schedule(traits, inputs, u)
        times = np.arange(amounts.shape[1])
        part = np.clip((times - plan.history) * factors.shape[1] // steps, 0, factors.shape[1] - 1)
        versions = np.stack([plan.shift(amounts, factors[:, k]) for k in range(factors.shape[1])])  # (P, N, T, A)
        return versions[part, :, times].swapaxes(0, 1)

    return _after(plan, schedule)


def _after(plan: FidelityPlan, change: Schedule) -> Schedule:
    """Change the schedule from the end of the history on."""

    def schedule(traits: Mapping[str, Floats], inputs: Floats, u: Floats) -> Floats:
        before, changed = plan.schedule(traits, inputs, u), change(traits, inputs, u)
        return np.concatenate([before[:, : plan.history], changed[:, plan.history :]], axis=1)

    return schedule


def _doubted(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, random: np.random.Generator
) -> Floats:
    """Each person's factors (N, P), of eight that were tried, under which the heads disagree most."""
    steps = max(plan.horizons.values())
    tried = random.choice(plan.shifts, size=(CANDIDATES, len(ids), PIECES))
    doubts = []
    for factors in tried:
        changed = replace(plan, schedule=pieced(plan, factors))
        known = record(scenario, ids, seed, plan.history + steps, changed)
        _, doubt = sample(scenario, changed, dynamics, known, seed, SCOUTS, steps)
        doubts.append(np.where(np.isfinite(doubt), doubt, 0.0).mean(axis=(0, 2)))
    return np.asarray(tried[np.argmax(doubts, axis=0), np.arange(len(ids))])


def _adversary(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, random: np.random.Generator
) -> Floats:
    """Search for the factors (P,) under which the twin model's mean forecasts are furthest from the reference's."""
    least, most, steps = min(plan.shifts), max(plan.shifts), max(plan.horizons.values())
    middle, spread = np.full(PIECES, 0.5 * (least + most)), np.full(PIECES, 0.5 * (most - least))
    known = record_beyond(scenario, ids, seed, steps, plan)
    person = uniforms(seed, known.courses.ids, 0, Stream.POLICY, 0, 1)[:, 0]
    tried: list[tuple[float, Floats]] = []
    for number in range(ROUNDS):
        drawn = np.clip(middle + spread * random.normal(size=(CANDIDATES, PIECES)), least, most)
        if number == 0:
            drawn[0] = most  # the aggressive treatment is a candidate, so that the adversary is not milder
        for factors in drawn:
            schedule = pieced(plan, np.tile(factors, (len(person), 1)))
            changed = replace(known, intended=schedule(known.courses.traits, known.courses.inputs, person))
            futures, _ = sample(scenario, plan, dynamics, changed, seed, SCOUTS, steps)
            error = mean_error(scenario, plan, futures, changed, seed)
            tried.append((error[0] if error else 0.0, factors))
        elite = np.stack([factors for _, factors in sorted(tried, key=lambda one: -one[0])[:ELITE]])
        middle, spread = elite.mean(axis=0), np.maximum(elite.std(axis=0), LEAST_SPREAD * (most - least))
    return max(tried, key=lambda one: one[0])[1]


def mean_error(scenario: Scenario, plan: FidelityPlan, futures: Floats, known: Record, seed: int) -> list[float] | None:
    """Root mean square distance of a person's mean forecast from the reference's at the longest horizon.

    Both are means over futures with independent luck, whose chance is taken off; futures that an event ended do not
    count.

    Args:
        scenario: A scenario with a reference.
        plan: What was forecast.
        futures: Of the twin model, (S, N, T); the reference draws as many.
        known: What was recorded, and is intended, of these people.
        seed: Of luck.

    Returns:
        [estimate, low, high] with a 95 % interval over people; None where hardly anybody's futures last.
    """
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference whose means could be compared with.")
    samples, steps = len(futures), futures.shape[-1]
    theirs, _ = sample(scenario, plan, scenario.reference(), known, seed, samples, steps, first=1 + samples)
    twin, reference = futures[..., -1], theirs[..., -1]
    lasting = (np.isfinite(twin).sum(axis=0) > 1) & (np.isfinite(reference).sum(axis=0) > 1)
    if lasting.sum() < 2:
        return None
    worlds = [PersonalEffect.of_lasting(world[:, lasting]) for world in (twin, reference)]
    return compared(worlds[0], worlds[1], seed)["pehe"]


def _scored(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int
) -> dict[str, Any]:
    steps = max(plan.horizons.values())
    known = record_beyond(scenario, ids, seed, steps, plan)
    truth = series(scenario, plan, known.courses, plan.history, steps)
    futures, _ = sample(scenario, plan, dynamics, known, seed, samples, steps)
    there = comparable(futures, truth, steps)
    found: dict[str, Any] = {
        "error": mean_error(scenario, plan, futures, known, seed),
        "ended": float((~np.isfinite(futures[..., -1])).mean()),
        "ended_reference": float((~np.isfinite(truth[:, -1])).mean()),
    }
    if not there.any():
        return {"people": 0, "crps": None, "coverage": None, "bias": None, **found}
    last, happened = futures[:, there, -1], truth[there, -1]
    tie = ties(seed, known.courses.ids[there])
    return {
        "people": int(there.sum()),
        "crps": float(crps(last, happened).mean()),
        "coverage": covered(rank(last, happened, tie), 0.9),
        "bias": float((np.nanmean(last, axis=0) - happened).mean()),
        **found,
    }
