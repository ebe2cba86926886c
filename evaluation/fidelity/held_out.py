"""How well does a twin model forecast recorded people that it has not met, next to what a statistician would say?

Legend of shapes: S = futures, N = forecasts (a person from one origin), H = steps ahead, V = variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twingym.evaluation.fidelity.replay import bring
from twingym.evaluation.fidelity.scores import central, crps, rank, ratio, skill
from twingym.evaluation.fidelity.simple_forecasts import SimpleForecasts
from twingym.scenarios.recorded import Recorded
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Split
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError
from twingym.twins.model import TwinModel
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

SEED, SAMPLES = 20261, 100
LEVEL = 0.9
LEAST_GROUP = 20  # people; of fewer nothing is said
MOST_PEOPLE = 2000  # who are forecast; with more, intervals are narrower than anybody needs
AT_ONCE = 8192  # futures; more would not fit the processor's cache


@dataclass(frozen=True)
class Task:
    """Forecasts to be made.

    Attributes:
        courses: N recorded courses, a person's once for each origin.
        stop: Last known step of each, (N,).
        person: Which person it is, from 0 on, (N,).
    """

    courses: Courses
    stop: NDArray[np.int64]
    person: NDArray[np.intp]

    @classmethod
    def of(cls, recorded: Recorded, split: Split) -> Task:
        """Return the forecasts that the plan asks for, of a split's people who went on beyond the origin.

        Raises:
            SpecError: If nobody did.
        """
        rows, plan = recorded.rows(split)[:MOST_PEOPLE], recorded.held_out
        courses = recorded.courses.take(rows)
        origins = [np.full(len(courses), origin) for origin in plan.origins]
        stops = origins if plan.cut is None else [plan.cut[rows]]
        row = np.concatenate([np.flatnonzero(courses.length > stop) for stop in stops])
        stop = np.concatenate([stop[courses.length > stop] for stop in stops])
        if len(row) == 0:
            raise SpecError(
                f"card: nobody of the {split} split goes on beyond {plan.origins or 'the cut'}; begin earlier."
            )
        return cls(courses.take(row), stop.astype(np.int64), row)

    def take(self, part: slice) -> Task:
        """Return some of the forecasts."""
        rows = np.arange(len(self.stop))[part]
        return Task(self.courses.take(rows), self.stop[rows], self.person[rows])

    def truth(self, column: int, steps: int, total: bool) -> Floats:
        """Return what followed, (N, H), NaN where it was not measured or the course had ended."""
        later = self.stop[:, None] + np.arange(1, steps + 1)
        there = later <= self.courses.length[:, None]
        values = self.courses.observed[..., column]
        found = np.where(there, np.take_along_axis(values, np.minimum(later, values.shape[1] - 1), axis=1), np.nan)
        return found.cumsum(axis=1) if total else found


def unfold_recorded(
    scenario: Scenario, dynamics: Dynamics, task: Task, steps: int, samples: int = SAMPLES, seed: int = SEED
) -> Floats:
    """Draw futures under what was delivered, (S, N, H, V) in physical units; NaN once an event has ended one."""
    size = max(1, AT_ONCE // samples)
    parts = [
        _unfold(scenario, dynamics, task.take(slice(first, first + size)), steps, samples, seed)
        for first in range(0, len(task.stop), size)
    ]
    return np.concatenate(parts, axis=1)


def _unfold(scenario: Scenario, dynamics: Dynamics, task: Task, steps: int, samples: int, seed: int) -> Floats:
    courses, count = task.courses, len(task.stop)
    events = [k for k, v in enumerate(scenario.variables) if v.kind == "event"]
    state = bring(scenario, dynamics, courses, task.stop, seed)
    rows = np.tile(np.arange(count), samples)
    luck = np.repeat(np.arange(1, samples + 1), count)
    state = dynamics.take(state, rows)
    ended = np.zeros(len(rows), dtype=bool)
    found = np.empty((samples, count, steps, len(scenario.variables)), dtype=np.float64)
    for t in range(steps):
        noise = uniforms(seed, courses.ids[rows], luck, Stream.DYNAMICS, t + 1, dynamics.noise_width)
        now = np.minimum(task.stop[rows] + t, courses.delivered.shape[1] - 1)
        inputs = courses.inputs[rows, now]
        state, observed = dynamics.step(state, courses.delivered[rows, now], inputs, noise)
        observed = np.where(ended[:, None], np.nan, observed)
        found[:, :, t] = observed.reshape(samples, count, -1)
        ended |= (observed[:, events] > 0).any(axis=1)
    return found


def held_out(scenario: Scenario, model: TwinModel, split: Split = "test", samples: int = SAMPLES) -> dict[str, Any]:
    """Score forecasts of recorded people of a split.

    Returns:
        ``people``; ``variables``: variable -> horizon -> ``points``, ``people``, ``crps``, ``skill`` by simple
        forecast, ``coverage`` of the 90 % interval and ``bias``, each as [estimate, low, high] with its 95 % interval
        over people, and ``groups``; ``events``: event -> horizon -> ``people``, ``happened``, ``expected``, ``brier``
        and its ``skill`` over the share among people to learn from.

    Raises:
        SpecError: If the scenario has no recorded people, or nobody can be forecast.
    """
    recorded = recorded_of(scenario)
    plan, task = recorded.held_out, Task.of(recorded, split)
    longest = max(last for _, last in plan.horizons.values())
    futures = unfold_recorded(scenario, model.dynamics(reveal=True), task, longest, samples)
    known = recorded.known()
    train = known.take(np.flatnonzero(recorded.splits != "test"))
    report: dict[str, Any] = {"people": len(np.unique(task.person)), "forecasts": len(task.stop), "variables": {}}
    tie = uniforms(SEED, task.courses.ids, 1, Stream.POLICY, 1, longest)  # (N, H)
    for name in plan.variables:
        column = [v.name for v in scenario.variables].index(name)
        truth = task.truth(column, longest, plan.total)
        mine = futures[..., column]
        mine = mine.cumsum(axis=2) if plan.total else mine
        simple = SimpleForecasts(scenario, scenario.variables[column], train, longest, plan.total)
        theirs = simple.make(task.courses, task.stop)
        report["variables"][name] = {
            label: _scored(scenario, task, mine, theirs, truth, tie, span, plan.total)
            for label, span in plan.horizons.items()
        }
    events = {v.name: k for k, v in enumerate(scenario.variables) if v.kind == "event"}
    report["events"] = {name: _happened(task, futures[..., k], k, train, plan.horizons) for name, k in events.items()}
    return report


def recorded_of(scenario: Scenario) -> Recorded:
    """Return the people of a scenario's table.

    Raises:
        SpecError: If it is not from a table.
    """
    if scenario.recorded is None:
        raise SpecError(f"scenario {scenario.id!r} is not from a table; its twin model is judged by its reference.")
    return scenario.recorded


def _scored(
    scenario: Scenario,
    task: Task,
    mine: Floats,
    theirs: Mapping[str, Floats],
    truth: Floats,
    tie: Floats,
    span: tuple[int, int],
    total: bool,
) -> dict[str, Any]:
    """Score one variable over the steps of one horizon (of sums: at its last step)."""
    row, step = np.nonzero(scored_places(mine, truth, span, total))
    if len(row) == 0:
        return {"points": 0, "people": 0}
    happened, person = truth[row, step], task.person[row]
    score = crps(mine[:, row, step], happened)
    ranks = rank(mine[:, row, step], happened, tie[row, step])
    inside = central(ranks, LEVEL).astype(np.float64)
    error = np.nanmean(mine[:, row, step], axis=0) - happened
    return {
        "points": len(row),
        "people": len(np.unique(person)),
        "crps": float(score.mean()),
        "skill": {
            name: skill(by_person(score, person), by_person(crps(forecast[:, row, step], happened), person))
            for name, forecast in theirs.items()
        },
        "coverage": clustered(inside, person),
        "bias": clustered(error, person),
        "groups": {
            trait: {
                level: _group(score, inside, person, task.courses.traits[trait][row] == number)
                for number, level in enumerate(levels)
            }
            for trait, levels in scenario.group_levels.items()
        },
    }


def scored_places(futures: Floats, truth: Floats, span: tuple[int, int], total: bool) -> NDArray[np.bool_]:
    """Return where forecasts of a horizon are scored, (N, H): a value was measured, and enough futures went on."""
    steps = np.arange(1, truth.shape[1] + 1)
    asked = steps == span[1] if total else (steps >= span[0]) & (steps <= span[1])
    return np.asarray(asked & np.isfinite(truth) & (np.isfinite(futures).sum(axis=0) >= min(10, len(futures))))


def _group(score: Floats, inside: Floats, person: NDArray[np.intp], here: NDArray[np.bool_]) -> dict[str, Any]:
    people = len(np.unique(person[here]))
    if people < LEAST_GROUP:
        return {"people": people, "crps": None, "coverage": None}
    coverage = clustered(inside[here], person[here])
    return {"people": people, "crps": float(score[here].mean()), "coverage": coverage}


def by_person(values: Floats, person: NDArray[np.intp]) -> Floats:
    """Sum up what belongs to each person."""
    _, place = np.unique(person, return_inverse=True)
    return np.asarray(np.bincount(place, values), dtype=np.float64)


def clustered(values: Floats, person: NDArray[np.intp]) -> tuple[float, float, float]:
    """Return the mean of values (K,), several of them a person's, with its 95 % bootstrap interval over people."""
    return ratio(by_person(values, person), by_person(np.ones(len(values)), person))


def _happened(
    task: Task, futures: Floats, column: int, train: Courses, horizons: Mapping[str, tuple[int, int]]
) -> dict[str, Any]:
    """Score chances that an event has happened by the end of each horizon, of people whose state then is known."""
    found: dict[str, Any] = {}
    over = np.nancumsum(np.nan_to_num(futures), axis=2) > 0  # (S, N, H)
    for label, (_, last) in horizons.items():
        event = _by(task.courses, column, task.stop, last)
        known = np.isfinite(event)
        if not known.any():
            found[label] = {"people": 0}
            continue
        chance = over[:, known, last - 1].mean(axis=0)
        base = np.array([np.nanmean(_by(train, column, np.full(len(train), s), last)) for s in task.stop[known]])
        happened, person = event[known], task.person[known]
        mine, theirs = (by_person((p - happened) ** 2, person) for p in (chance, np.nan_to_num(base)))
        found[label] = {
            "people": len(np.unique(person)),
            "happened": float(happened.mean()),
            "expected": float(chance.mean()),
            "brier": float(((chance - happened) ** 2).mean()),
            "skill": skill(mine, theirs),
        }
    return found


def _by(courses: Courses, column: int, stop: NDArray[np.int64], steps: int) -> Floats:
    """Return whether an event had happened ``steps`` after ``stop`` to those who went on beyond it; NaN if unknown."""
    happened = np.nansum(courses.observed[..., column], axis=1) > 0
    by = happened & (courses.length <= stop + steps)
    known = (courses.length > stop) & (by | (courses.length >= stop + steps))
    return np.where(known, by.astype(np.float64), np.nan)
