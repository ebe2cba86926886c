"""Given a person's past and what will be done, what comes next: the twin model against simple forecasts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twingym.evaluation.fidelity.replay import Record, bring, record, record_beyond
from twingym.evaluation.fidelity.scores import covered, crps, rank, skill, ties
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

LAGS = 24
QUANTILES = (np.arange(60) + 0.5) / 60.0


def series(scenario: Scenario, plan: FidelityPlan, courses: Courses, start: int, steps: int) -> Floats:
    """Return the variable from ``start + 1`` to ``start + steps``, summed up if the plan says so, (N, steps)."""
    column = [v.name for v in scenario.variables].index(plan.variable)
    values = courses.observed[:, start + 1 : start + steps + 1, column]
    return values.cumsum(axis=1) if plan.total else values


def unfold(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    known: Record,
    seed: int,
    samples: int,
    steps: int,
    head: int | None = None,
    first: int = 1,
) -> Iterator[tuple[Floats, Floats]]:
    """Draw futures of everybody after the plan's history, under the recorded inputs and intended interventions.

    With ``head``, everybody is bound to that head; the luck is the same for each. ``first`` is the number of the first
    future's luck: worlds whose luck should not meet begin ``samples`` apart.

    Yields:
        For each of ``steps``: what is observed, shape (S, N, V), and the dynamics' disagreement, (S, N), zero if it has
        none; NaN once an event has ended a future.
    """
    courses, count = known.courses, len(known.courses)
    events = [k for k, v in enumerate(scenario.variables) if v.kind == "event"]
    state = bring(scenario, dynamics, courses, np.full(count, plan.history), seed)
    rows = np.tile(np.arange(count), samples)
    state, observed = dynamics.take(state, rows), courses.observed[rows, plan.history]
    if head is not None and isinstance(dynamics, Uncertain):
        state = dynamics.bind(state, np.full(len(rows), head))
    # Every sample is another run of luck of the same person: another episode number.
    luck = np.repeat(np.arange(first, first + samples), count)
    ended = np.zeros(len(rows), dtype=bool)
    for t in range(steps):
        noise = uniforms(seed, courses.ids[rows], luck, Stream.DYNAMICS, t + 1, dynamics.noise_width)
        action = plan.permit(observed, known.intended[rows, plan.history + t])
        state, observed = dynamics.step(state, action, courses.inputs[rows, plan.history + t], noise)
        doubt = dynamics.disagreement(state) if isinstance(dynamics, Uncertain) else np.zeros(len(rows))
        yield (
            np.where(ended[:, None], np.nan, observed).reshape(samples, count, -1),
            np.where(ended, np.nan, doubt).reshape(samples, count),
        )
        ended |= (observed[:, events] > 0).any(axis=1)


def sample(
    scenario: Scenario,
    plan: FidelityPlan,
    dynamics: Dynamics,
    known: Record,
    seed: int,
    samples: int,
    steps: int,
    head: int | None = None,
    first: int = 1,
) -> tuple[Floats, Floats]:
    """Draw futures of the plan's variable; see :func:`unfold`.

    Returns:
        The variable (its sum so far if the plan totals), shape (S, N, steps), in its unit, NaN once an event has ended
        a future; and the dynamics' disagreement, of the same shape.
    """
    column = [v.name for v in scenario.variables].index(plan.variable)
    futures, doubts = np.empty((2, samples, len(known.courses), steps))
    for t, (observed, doubt) in enumerate(unfold(scenario, plan, dynamics, known, seed, samples, steps, head, first)):
        futures[..., t], doubts[..., t] = observed[..., column], doubt
    return (futures.cumsum(axis=2) if plan.total else futures), doubts


@dataclass(frozen=True)
class SimpleForecasts:
    """Forecasts that anybody would try first, each with its own empirical spread, from courses of training people.

    ``persistence`` repeats the last value (or the recent sum), ``autoregression`` is linear in the last values, traits,
    and what was and will be given, ``climatology`` is the mean at this time given traits. Each gives (Q, N) quantiles.
    """

    train: Courses
    scenario: Scenario
    plan: FidelityPlan

    def forecasts(self, courses: Courses, steps: int) -> dict[str, Floats]:
        """Quantile forecasts (Q, N) ``steps`` ahead of the plan's history, by name."""
        target = series(self.scenario, self.plan, self.train, self.plan.history, steps)[:, -1]
        kept = np.isfinite(target)
        made = {}
        for name, build in (
            ("persistence", self._last),
            ("autoregression", self._lags),
            ("climatology", self._traits),
        ):
            features, new = build(self.train, steps)[kept], build(courses, steps)
            if name == "persistence":
                fitted, forecast = features[:, 0], new[:, 0]
            else:
                ridge = 1e-3 * len(features) * np.diag(features.std(axis=0) ** 2 + 1e-9)
                weights = np.linalg.solve(features.T @ features + ridge, features.T @ target[kept])
                fitted, forecast = features @ weights, new @ weights
            spread = np.quantile(target[kept] - fitted, QUANTILES)
            made[name] = forecast[None, :] + spread[:, None]
        return made

    def _last(self, courses: Courses, steps: int) -> Floats:
        now = self.plan.history
        if self.plan.total:
            past = min(steps, now)
            recent = series(self.scenario, self.plan, courses, now - past, past)[:, -1]
            return recent[:, None] * steps / past
        return series(self.scenario, self.plan, courses, now - 1, 1)

    def _traits(self, courses: Courses, steps: int) -> Floats:
        encoded = self.scenario.twin_spec().encode_traits(courses.traits)
        return np.concatenate([np.ones((len(courses), 1)), encoded], axis=1)

    def _lags(self, courses: Courses, steps: int) -> Floats:
        now, lags = self.plan.history, min(LAGS, self.plan.history)
        column = [v.name for v in self.scenario.variables].index(self.plan.variable)
        past = courses.observed[:, now - lags : now + 1, column]
        given = [
            part.reshape(len(courses), -1)
            for block in (courses.delivered, courses.inputs[:, :-1])
            for part in (block[:, now - lags : now].sum(axis=1), block[:, now : now + steps].sum(axis=1))
        ]
        return np.concatenate([self._traits(courses, steps), past, *given], axis=1)


def forecast_skill(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, train_ids: Ids, seed: int, samples: int
) -> dict[str, object]:
    """Score forecasts at the plan's horizons and the coverage of their 90 % intervals.

    Args:
        scenario: A scenario with a reference, which makes the courses.
        plan: What to measure.
        dynamics: The twin model.
        ids: Held-out people.
        train_ids: People whose courses the simple forecasts learn from.
        seed: Of the courses.
        samples: Futures per person.

    Returns:
        ``skill``: horizon -> simple forecast -> [estimate, low, high]; ``crps`` and ``coverage`` by horizon;
        ``errors``: the same horizons and one step -> ``crps`` and ``rmse`` (of the mean forecast), each of the ``twin``
        model, of ``persistence``, and of the ``oracle``: the reference, which knows the person's hidden state too, so
        that nobody can do better.
    """
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference that makes courses.")
    longest = max(*plan.horizons.values(), *plan.coverage.values())
    known = record_beyond(scenario, ids, seed, longest, plan)
    courses = known.courses
    train = record(scenario, train_ids, seed + 1, plan.history + longest, plan).courses
    truth = series(scenario, plan, courses, plan.history, longest)
    futures, _ = sample(scenario, plan, dynamics, known, seed, samples, longest)
    oracle, _ = sample(scenario, plan, scenario.reference(), known, seed, samples, max(plan.horizons.values()))
    simple = SimpleForecasts(train, scenario, plan)
    report: dict[str, object] = {"people": len(courses)}
    scores, skills, coverage, errors = {}, {}, {}, {}
    for label, steps in {"1 step": 1, **plan.horizons}.items():
        there = comparable(futures, truth, steps) & comparable(oracle, truth, steps)
        happened, rivals = truth[there, steps - 1], simple.forecasts(courses, steps)
        made = {
            "twin": futures[:, there, steps - 1],
            "persistence": rivals["persistence"][:, there],
            "oracle": oracle[:, there, steps - 1],
        }
        errors[label] = {
            "crps": {name: float(crps(forecast, happened).mean()) for name, forecast in made.items()},
            "rmse": {name: _rmse(forecast, happened) for name, forecast in made.items()},
        }
        if label in plan.horizons:
            score = crps(made["twin"], happened)
            scores[label] = float(score.mean())
            skills[label] = {
                name: skill(score, crps(forecast[:, there], happened)) for name, forecast in rivals.items()
            }
    tie = ties(seed, courses.ids)
    for label, steps in plan.coverage.items():
        there = comparable(futures, truth, steps)
        coverage[label] = covered(rank(futures[:, there, steps - 1], truth[there, steps - 1], tie[there]), 0.9)
    return {**report, "crps": scores, "skill": skills, "coverage": coverage, "errors": errors}


def _rmse(forecast: Floats, truth: Floats) -> float:
    """Root mean square error of the mean of an ensemble (S, N)."""
    return float(np.sqrt(np.mean((np.nanmean(forecast, axis=0) - truth) ** 2)))


def comparable(futures: Floats, truth: Floats, steps: int) -> NDArray[np.bool_]:
    """People (N,) whose course lasted and of whom enough futures did: forecasts are conditional on going on."""
    lasted = np.isfinite(futures[:, :, steps - 1]).sum(axis=0)
    return np.asarray(np.isfinite(truth[:, steps - 1]) & (lasted >= min(10, len(futures))))
