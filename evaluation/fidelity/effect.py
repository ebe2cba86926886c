"""What does an intervention do to this person: the twin model's branches against the reference's.

A person's effect is a mean over finitely many futures, hence itself uncertain. Errors of effects would hold that
chance too, and correlations suffer from it; both are therefore taken off, as it is known from the spread of the
futures. The two worlds draw independent luck, so that their chances do not cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twingym.evaluation.fidelity.ensembles import AT_ONCE
from twingym.evaluation.fidelity.replay import Record, bring, record
from twingym.evaluation.fidelity.scores import cramer_distance, mean_difference
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

RESAMPLES = 1000


@dataclass(frozen=True)
class Branches:
    """Futures of everybody under each dose, from the same past with the same luck.

    Attributes:
        outcome: Dose -> the variable's mean over the branch, (S, N); its sum if the plan totals.
        first: Dose -> its value after one step, (S, N).
        course: Dose -> its mean over futures and people by step, (T,).
        head: Which head drew each future, (S,); zeros where there are none.
    """

    outcome: Mapping[str, Floats]
    first: Mapping[str, Floats]
    course: Mapping[str, Floats]
    head: NDArray[np.int64]


def branches(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    known: Record,
    at: NDArray[np.int64],
    seed: int,
    samples: int,
    luck: int = 1,
) -> Branches:
    """Continue everybody from the same past under each of the plan's doses, with the same luck.

    A twin model's heads take turns over the samples: the effect is that of the model as a whole.

    Args:
        scenario: Whose people these are.
        plan: Doses and length of the branches.
        dynamics: Reference or twin model.
        known: Recorded courses.
        at: Step (N,) at which the dose is changed.
        seed: Of the courses; also of the luck.
        samples: Futures per person and dose.
        luck: Number of the first future's luck; worlds whose luck should not meet begin ``samples`` apart.
    """
    heads = dynamics.heads if isinstance(dynamics, Uncertain) else 1
    order = np.argsort(at, kind="stable")  # pasts of like length together: shorter to replay
    shards = np.array_split(order, -(-len(at) * samples // AT_ONCE))
    parts = [_shard(scenario, plan, dynamics, known.take(rows), at[rows], seed, samples, luck) for rows in shards]
    back = np.argsort(np.concatenate(shards), kind="stable")

    def joined(field: str) -> dict[str, Floats]:
        return {dose: np.concatenate([getattr(p, field)[dose] for p in parts], axis=1)[:, back] for dose in plan.doses}

    shares = [len(rows) / len(at) for rows in shards]
    course = {
        dose: np.sum([p.course[dose] * share for p, share in zip(parts, shares, strict=True)], axis=0)
        for dose in plan.doses
    }
    return Branches(joined("outcome"), joined("first"), course, np.arange(luck, luck + samples) % heads)


def _shard(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    known: Record,
    at: NDArray[np.int64],
    seed: int,
    samples: int,
    luck: int,
) -> Branches:
    courses, rows = known.courses, np.tile(np.arange(len(known.courses)), samples)
    count, column = len(courses), [v.name for v in scenario.variables].index(plan.variable)
    start = bring(scenario, dynamics, courses, at, seed)
    now, episode = np.tile(at, samples), np.repeat(np.arange(luck, luck + samples), count)
    outcome, first, course = {}, {}, {}
    for label, dose in plan.doses.items():
        state, observed = dynamics.take(start, rows), courses.observed[rows, now]
        if isinstance(dynamics, Uncertain):
            state = dynamics.bind(state, episode % dynamics.heads)
        total, course[label] = np.zeros((samples, count)), np.empty(plan.effect_steps)
        for t in range(plan.effect_steps):
            noise = uniforms(seed, courses.ids[rows], episode, Stream.DYNAMICS, t + 1, dynamics.noise_width)
            amounts = plan.permit(observed, dose(known.intended[rows, now + t], t))
            state, observed = dynamics.step(state, amounts, courses.inputs[rows, now + t], noise)
            total += observed[:, column].reshape(samples, count)
            course[label][t] = observed[:, column].mean()
            if t == 0:
                first[label] = total.copy()
        outcome[label] = total / (1.0 if plan.total else plan.effect_steps)
    return Branches(outcome, first, course, np.zeros(samples, dtype=np.int64))


def effects(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int
) -> dict[str, Any]:
    """Compare the effect of each dose (against the first) between the twin model and the reference.

    Args:
        scenario: A scenario with a reference.
        plan: Doses, branches and schedule.
        dynamics: The twin model.
        ids: Held-out people.
        seed: Of courses and luck.
        samples: Futures per person and dose; at least two of each head, whose spread tells how much is chance.

    Returns:
        ``people``, ``samples``; ``doses``: dose -> what :func:`compared` says of the effect over the branch,
        ``first_step`` the same of the effect after one step, and ``course``, the mean effect by step in ``twin`` and
        ``reference``; ``outcomes``: dose -> ``crps`` of the twin model's futures for those of the reference, and
        ``excess``, by how much that is more than the reference's own (their Cramér distance, 0 if both are alike).
    """
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference whose branches could be compared with.")
    known = record(scenario, ids, seed, plan.policy_steps, plan)
    at = plan.branch(known.courses.inputs, known.intended)
    kept = np.flatnonzero((at >= plan.history) & (at + plan.effect_steps <= known.courses.length))
    known, at = known.take(kept), at[kept]
    judge = scenario.reference()
    samples = max(samples, *(2 * world.heads for world in (dynamics, judge) if isinstance(world, Uncertain)), 2)
    mine = branches(scenario, plan, dynamics, known, at, seed, samples)
    theirs = branches(scenario, plan, judge, known, at, seed, samples, luck=1 + samples)
    given = next(iter(plan.doses))

    def against(field: str, dose: str) -> dict[str, Any]:
        twin, reference = (getattr(world, field) for world in (mine, theirs))
        return compared(
            PersonalEffect.of(twin[dose] - twin[given], mine.head),
            PersonalEffect.of(reference[dose] - reference[given], theirs.head),
            seed,
        )

    return {
        "people": len(kept),
        "samples": samples,
        "doses": {
            dose: {
                **against("outcome", dose),
                "first_step": against("first", dose),
                "course": {
                    name: (world.course[dose] - world.course[given]).tolist()
                    for name, world in (("twin", mine), ("reference", theirs))
                },
            }
            for dose in list(plan.doses)[1:]
        },
        "outcomes": {dose: _outcome(mine.outcome[dose], theirs.outcome[dose]) for dose in plan.doses},
    }


@dataclass(frozen=True)
class PersonalEffect:
    """Effects of N people, and what of their variance is chance.

    Attributes:
        mean: Over futures, (N,).
        chance: Variance of that mean, by the finite number of futures, (N,).
    """

    mean: Floats
    chance: Floats

    @classmethod
    def of(cls, values: Floats, head: NDArray[np.int64]) -> PersonalEffect:
        """Estimate both, without bias, from futures (S, N), of which each head (S,) drew at least two.

        That heads differ is no chance: every mean holds each of them equally often.
        """
        chance = np.zeros(values.shape[1])
        for number in np.unique(head):
            own = values[head == number]
            chance += len(own) * own.var(axis=0, ddof=1)
        return cls(values.mean(axis=0), chance / len(values) ** 2)

    @classmethod
    def of_lasting(cls, values: Floats) -> PersonalEffect:
        """Estimate both from those futures (S, N) that are finite, at least two per person, of one law."""
        count = np.isfinite(values).sum(axis=0)
        return cls(np.nanmean(values, axis=0), np.nanvar(values, axis=0, ddof=1) / count)


def compared(twin: PersonalEffect, reference: PersonalEffect, seed: int = 0) -> dict[str, list[float]]:
    """Compare effects on the same N people, chance taken off what is squared.

    Returns:
        Each [estimate, low, high] with a 95 % bootstrap interval over people: mean effect ``effect`` and
        ``reference``, their ``ratio``, the ``correlation`` over people, ``pehe``, the root mean square error of a
        person's effect (Hill 2011, J. Comput. Graph. Stat. 20:217), and for scale the standard deviation ``spread``
        of the reference's: who gave everybody the mean effect would be wrong by as much.
    """
    a, b, chance_a, chance_b = twin.mean, reference.mean, twin.chance, reference.chance
    moments = np.stack([a, b, a * a - chance_a, b * b - chance_b, a * b], axis=1)  # (N, 5)
    count = len(moments)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)
    means = np.concatenate([moments.mean(axis=0)[None], draws @ moments / count])  # (1 + B, 5)
    found = _statistics(*means.T)
    return {name: [float(v[0]), *(float(x) for x in np.quantile(v[1:], (0.025, 0.975)))] for name, v in found.items()}


def _statistics(a: Floats, b: Floats, aa: Floats, bb: Floats, ab: Floats) -> dict[str, Floats]:
    """From means of both effects, their squares without chance, and their product, each (1 + B,)."""
    variance_a, variance_b = np.maximum(aa - a * a, 0.0), np.maximum(bb - b * b, 0.0)
    scale = np.sqrt(variance_a * variance_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(scale > 0.0, np.clip((ab - a * b) / scale, -1.0, 1.0), 0.0)
        ratio = np.where(b != 0.0, a / b, 0.0)
    pehe = np.sqrt(np.maximum(aa + bb - 2.0 * ab, 0.0))
    return {
        "effect": a,
        "reference": b,
        "ratio": ratio,
        "correlation": correlation,
        "pehe": pehe,
        "spread": np.sqrt(variance_b),
    }


def _outcome(twin: Floats, reference: Floats) -> dict[str, float]:
    """Score futures (S, N) of the twin model for each future of the reference, (S, N)."""
    excess = float(cramer_distance(twin, reference).mean())
    return {"crps": excess + 0.5 * float(mean_difference(reference).mean()), "excess": excess}
