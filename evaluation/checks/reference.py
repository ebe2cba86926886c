"""Does a reference keep the contract of a dynamics: the same arguments, the same people, whoever is beside them?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from twingym.envs.actions import ActionMap
from twingym.evaluation.checks.finding import Finding
from twingym.evaluation.fidelity.replay import draw_inputs, step_noise
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Cohort, Rows, people
from twingym.twins.dynamics import Dynamics, State
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

PEOPLE, MOST_STEPS, SEED = 64, 48, 11
CLOSE = 1e-9  # other batches may round differently
OFTEN = 0.01  # share of values beyond the declared bounds that is worth a word


@dataclass(frozen=True)
class Trial:
    """N people on their way through T steps.

    Attributes:
        dynamics: What moves them.
        cohort: Who.
        inputs: Shape (N, T + 1, K).
        amounts: What is delivered, shape (N, T, A).
    """

    dynamics: Dynamics
    cohort: Cohort
    inputs: Floats
    amounts: Floats

    def begin(self) -> tuple[State, Floats]:
        """Return state and first observation."""
        return self.dynamics.initial(self.cohort, self.inputs[:, 0].copy(), self.noise(0))

    def step(self, state: State, t: int) -> tuple[State, Floats]:
        """Make step ``t``."""
        return self.dynamics.step(state, self.amounts[:, t].copy(), self.inputs[:, t].copy(), self.noise(t + 1))

    def noise(self, step: int) -> Floats:
        """Return everybody's uniforms."""
        return step_noise(self.dynamics, self.cohort.ids, SEED, step)

    def observed(self) -> Floats:
        """Return everybody's course, (N, T + 1, V)."""
        state, seen = self.begin()
        found = [np.array(seen)]
        for t in range(self.amounts.shape[1]):
            state, seen = self.step(state, t)
            found.append(np.array(seen))
        return np.stack(found, axis=1)

    def take(self, rows: Rows) -> Trial:
        """Return the trial of some people."""
        return replace(self, cohort=self.cohort.take(rows), inputs=self.inputs[rows], amounts=self.amounts[rows])


def trial(scenario: Scenario) -> Trial:
    """Return people under amounts at random, moved by the reference."""
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference.")
    ids, steps = people("test", PEOPLE), min(scenario.horizon, MOST_STEPS)
    cohort = scenario.people.sample(ids)
    chosen = uniforms(SEED, ids[:, None], 0, Stream.POLICY, np.arange(steps), len(scenario.interventions))  # (N, T, A)
    levels = np.array([max(len(i.levels), 1) for i in scenario.interventions])
    actions = np.floor(chosen * levels) if ActionMap(scenario).categorical else 2.0 * chosen - 1.0
    inputs = draw_inputs(scenario, cohort, SEED, steps)
    return Trial(scenario.reference(), cohort, inputs, _amounts(scenario, cohort, actions))


def reference_checks(scenario: Scenario) -> Iterator[Finding]:
    """Yield what the reference does that a dynamics may not; nothing if there is none."""
    if scenario.reference is None:
        told = "Agents train on the twin model, and a challenger judges it (twingym fit --challenger)."
        yield Finding("reference", "there is none", "", told, fails=False)
        return
    world = trial(scenario)
    seen = np.asarray(world.begin()[1])
    shape = (len(world.cohort), len(scenario.variables))
    if seen.shape != shape:
        columns = ", ".join(v.name for v in scenario.variables)
        yield Finding("observed at birth", f"an array of {seen.shape}", f"{shape}: {columns}", "Stack with axis=1.")
        return
    course = world.observed()
    yield from _numbers(scenario, course)
    for check in (_repeats, _company, _branches, _restarts):
        yield from check(world, course)
    yield from _acts(scenario, world)


def _numbers(scenario: Scenario, course: Floats) -> Iterator[Finding]:
    """Look for what is no number, no level, beyond the bounds, or always the same."""
    for column, v in enumerate(scenario.variables):
        values = course[..., column]
        unit = f" {v.unit}" if v.unit else ""
        bounds = f"{v.low:g} to {v.high:g}{unit}"
        if v.seen_by("twin") and not v.intermittent and not np.isfinite(values).all():
            person, step = np.argwhere(~np.isfinite(values))[0]
            where = f"for the person in row {person} at step {step}"
            missing = "Declare intermittent=True if it is not always measured; else look for a division by zero."
            yield Finding(f"variable {v.name}", f"{values[person, step]} {where}", bounds, missing)
            continue
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        if v.kind != "continuous" and (known != np.rint(known)).any():
            odd = known[known != np.rint(known)][0]
            kind = f"variable {v.name} ({v.kind})"
            yield Finding(kind, f"{odd:g}", f"whole numbers, {bounds}", "Round, or declare it continuous.")
        beyond = np.mean((known < v.low) | (known > v.high))
        if beyond > OFTEN:
            value = f"{known.min():.4g} to {known.max():.4g}{unit} under amounts at random, {beyond:.0%} of them beyond"
            clipped = "What is beyond is clipped before reward and costs see it: widen the bounds."
            yield Finding(f"variable {v.name}", value, bounds, clipped, fails=v.kind != "continuous")
        if v.kind != "event" and known.min() == known.max():
            same = "If it never changes it is a trait."
            yield Finding(f"variable {v.name}", f"{known[0]:g}{unit} always and for everybody", "", same, fails=False)


def _repeats(world: Trial, course: Floats) -> Iterator[Finding]:
    if not np.array_equal(world.observed(), course, equal_nan=True):
        yield Finding(
            "the same people with the same noise, twice",
            "other courses",
            "the same bits",
            "Take randomness from `noise` alone (noise_width uniforms per person), and keep nothing on the object.",
        )


def _company(world: Trial, course: Floats) -> Iterator[Finding]:
    rows = np.arange(len(course))[::-2]
    if not _close(world.take(rows).observed(), course[rows]):
        yield Finding(
            "every other person, in the reverse order",
            "other courses than among everybody",
            "a course that depends on the person, amounts, inputs and noise alone",
            "Look for a mean over people, or for rows that are counted instead of read from the cohort.",
        )


def _branches(world: Trial, course: Floats) -> Iterator[Finding]:
    """Step a copy of some people with other amounts, and go on with the original."""
    state, _ = world.begin()
    rows = np.array([2, 0, 2])
    copy = world.dynamics.take(state, rows)
    other = world.take(rows)
    replace(other, amounts=world.amounts[rows + 1]).step(copy, 0)
    _, seen = world.step(state, 0)
    if not _close(np.asarray(seen), course[:, 1]):
        yield Finding("a step of a copy that take() made", "changed the original", "a copy", "Copy arrays in take().")
    state, _ = world.begin()
    _, seen = other.step(world.dynamics.take(state, rows), 0)
    if not _close(np.asarray(seen), course[rows, 1]):
        rows_told = "people who go on otherwise", "those rows, in that order", "See Dynamics.take."
        yield Finding("take(state, [2, 0, 2])", *rows_told)


def _restarts(world: Trial, course: Floats) -> Iterator[Finding]:
    """Let new people take the places of some after a step."""
    state, _ = world.begin()
    state, _ = world.step(state, 0)
    rows, others = np.array([1, 4]), np.setdiff1d(np.arange(len(course)), [1, 4])
    new = world.take(np.array([7, 9]))
    state, born = world.dynamics.restart(state, rows, new.cohort, new.inputs[:, 0].copy(), new.noise(0))
    if not _close(np.asarray(born), course[[7, 9], 0]):
        yield Finding("restart()", "other first observations than initial()", "the same", "See Dynamics.restart.")
    if world.amounts.shape[1] > 1:
        _, seen = world.step(state, 1)
        if not _close(np.asarray(seen)[others], course[others, 2]):
            yield Finding("restart() of rows 1 and 4", "changed the others", "only those rows", "See Dynamics.restart.")


def _acts(scenario: Scenario, world: Trial) -> Iterator[Finding]:
    """Look whether each intervention changes anything that a twin model could learn."""
    visible = [column for column, v in enumerate(scenario.variables) if v.seen_by("twin")]
    people_, steps = world.amounts.shape[:2]
    shape = (people_, steps, len(scenario.interventions))
    categorical = ActionMap(scenario).categorical
    least = np.zeros(shape) if categorical else np.full(shape, -1.0)

    def seen(actions: Floats) -> Floats:
        return replace(world, amounts=_amounts(scenario, world.cohort, actions)).observed()[..., visible]

    nothing = seen(least)
    for column, i in enumerate(scenario.interventions):
        tried: list[float] = [float(level) for level in range(1, len(i.levels))] if categorical else [1.0]
        for number in tried:
            actions = least.copy()
            actions[..., column] = number
            if np.array_equal(seen(actions), nothing, equal_nan=True):
                name = f"{i.name} = {i.levels[int(number)]}" if categorical else f"the most {i.name}"
                idle = "Use `action` in step(), or leave the intervention out."
                yield Finding(name, "nothing observed changes", "a change in some variable", idle)


def _amounts(scenario: Scenario, cohort: Cohort, actions: Floats) -> Floats:
    """Turn actions (N, T, A) into what is delivered, but for hard constraints."""
    traits = {name: values[:, None] for name, values in cohort.traits.items()}
    return np.stack([i.deliver(actions[..., k], traits) for k, i in enumerate(scenario.interventions)], axis=-1)


def _close(one: Floats, other: Floats) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=CLOSE, atol=CLOSE, equal_nan=True)
