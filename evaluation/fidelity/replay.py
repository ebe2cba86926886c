"""How are people brought to the same point of the same past under any dynamics?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Cohort, Ids, Rows
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics, State
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats


@dataclass(frozen=True)
class Record:
    """Courses of the reference, and what was meant to be done in them.

    Attributes:
        courses: N recorded courses of T steps.
        intended: Scheduled amounts, (N, T, A); the delivered ones are those of them that were permitted.
    """

    courses: Courses
    intended: Floats

    def take(self, rows: Rows) -> Record:
        """Return the courses in ``rows``."""
        return Record(self.courses.take(rows), self.intended[rows])


def record(scenario: Scenario, ids: Ids, seed: int, steps: int, plan: FidelityPlan) -> Record:
    """Record courses of the reference under the plan's schedule, which does not react to what is observed.

    Args:
        scenario: A scenario with a reference.
        ids: N people.
        seed: Of inputs and noise.
        steps: T.
        plan: Gives the schedule, and what of it is permitted.
    """
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference to record courses of.")
    cohort = scenario.people.sample(ids)
    inputs = draw_inputs(scenario, cohort, seed, steps)
    person = uniforms(seed, ids, 0, Stream.POLICY, 0, 1)[:, 0]
    intended = plan.schedule(cohort.traits, inputs, person)
    delivered = np.zeros_like(intended)
    dynamics = scenario.reference()
    state, first = dynamics.initial(cohort, inputs[:, 0], step_noise(dynamics, ids, seed, 0))
    observed = np.full((len(ids), steps + 1, len(scenario.variables)), np.nan)
    observed[:, 0] = seen = first
    length = np.full(len(ids), steps, dtype=np.int64)
    ends = [k for k, v in enumerate(scenario.variables) if v.kind == "event"]
    going = np.ones(len(ids), dtype=bool)
    for t in range(steps):
        delivered[:, t] = plan.permit(seen, intended[:, t])
        state, seen = dynamics.step(state, delivered[:, t], inputs[:, t], step_noise(dynamics, ids, seed, t + 1))
        observed[going, t + 1] = seen[going]
        ended = going & (seen[:, ends] > 0).any(axis=1)
        length[ended] = t + 1
        going &= ~ended
    propensity = np.full((len(ids), steps), np.nan)
    return Record(Courses(ids, cohort.traits, observed, delivered, inputs, propensity, length), intended)


def record_beyond(scenario: Scenario, ids: Ids, seed: int, ahead: int, plan: FidelityPlan) -> Record:
    """Record ``ahead`` steps beyond the plan's history, of those whose course lasts as long as that."""
    known = record(scenario, ids, seed, plan.history + ahead, plan)
    return known.take(np.flatnonzero(known.courses.length >= plan.history))


def bring(scenario: Scenario, dynamics: Dynamics, courses: Courses, stop: NDArray[np.int64], seed: int) -> State:
    """Return the state of everybody right after observation ``stop`` of their recorded course.

    The courses end together: whoever stops early begins late. A reference replays the course, since it is deterministic
    in its arguments; a twin model is told what was observed.

    Args:
        scenario: Whose people these are.
        dynamics: The reference that made the courses, or a twin model.
        courses: Those of :func:`record`.
        stop: Number of the last known observation, (N,).
        seed: Seed of :func:`record`.
    """
    cohort = scenario.people.sample(courses.ids)
    rows = np.arange(len(courses))
    begins = int(stop.max()) - stop  # (N,)
    observe = getattr(dynamics, "observe", None)

    state, _ = dynamics.initial(cohort, courses.inputs[:, 0], step_noise(dynamics, courses.ids, seed, 0))
    if observe is not None:
        state = observe(state, courses.observed[:, 0])
    for clock in range(1, int(stop.max()) + 1):
        t = np.maximum(clock - 1 - begins, 0)  # the step each person makes now, once begun
        state, _ = dynamics.step(
            state, courses.delivered[rows, t], courses.inputs[rows, t], step_noise(dynamics, courses.ids, seed, t + 1)
        )
        if observe is not None:
            state = observe(state, courses.observed[rows, t + 1])
        late = np.flatnonzero(begins == clock)
        if len(late):
            noise = step_noise(dynamics, courses.ids[late], seed, 0)
            state, _ = dynamics.restart(state, late, cohort.take(late), courses.inputs[late, 0], noise)
            if observe is not None:
                state = observe(state, courses.observed[late, 0], late)
    return state


def draw_inputs(scenario: Scenario, cohort: Cohort, seed: int, steps: int) -> Floats:
    """Inputs (N, T + 1, K) of episode 0; K may be 0."""
    if scenario.draw_inputs is None:
        return np.zeros((len(cohort), steps + 1, 0))
    return scenario.draw_inputs(cohort, seed, np.zeros(len(cohort), dtype=np.int64), steps)


def step_noise(dynamics: Dynamics, ids: Ids, seed: int, step: int | NDArray[np.int64]) -> Floats:
    """Uniforms (N, noise_width) of one step of episode 0."""
    return uniforms(seed, ids, 0, Stream.DYNAMICS, step, dynamics.noise_width)
