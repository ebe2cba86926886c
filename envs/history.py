"""How are people seated in the middle of a recorded course, so that everything goes on from where it stopped?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from twingym.envs.autoreset import AutoresetMode
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Cohort, Rows, checked_ids
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics, State
from twingym.twins.errors import CohortError, DynamicsError, SpecError
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    from twingym.envs.batch import Batch
    from twingym.envs.render import Film


class Observant:
    """Tells a dynamics what was observed, in place of what it drew."""

    def __init__(self, dynamics: Dynamics) -> None:
        """Look up how ``dynamics`` is told.

        Raises:
            DynamicsError: If it cannot be told anything.
        """
        if not hasattr(dynamics, "observe"):
            raise DynamicsError(
                f"{type(dynamics).__name__} has no `observe`, so it cannot go on from a recorded course: its people "
                "have a hidden state that observations do not give. Use dynamics='transformer'."
            )
        self._observe = cast(Any, dynamics).observe

    def __call__(self, state: State, drawn: Floats, recorded: Floats, rows: Rows) -> tuple[State, Floats]:
        """Return the state, and observations (N, V) in which ``recorded`` (R, V) replaces what was ``drawn``.

        What is NaN there was missing; it stays as it was drawn, and the dynamics is told that nobody saw it.
        """
        told = drawn.copy()
        told[rows] = np.where(np.isfinite(recorded), recorded, drawn[rows])
        return self._observe(state, recorded, rows), told


def checked_history(value: object, slots: int, scenario: Scenario, going_on: bool = True) -> Courses:
    """Return recorded courses, one per slot, from which people can go on; without ``going_on`` they may have ended.

    Raises:
        CohortError: If it is not one course per slot, or traits are missing.
        SpecError: If columns do not fit the scenario, something delivered or taken in is not known, or a course ended.
    """
    if not isinstance(value, Courses):
        raise SpecError(
            f"options['history'] is a {type(value).__name__}; allowed: twingym.twins.Courses, one per slot."
        )
    checked_ids(value.ids)
    if len(value) != slots:
        raise CohortError(f"options['history'] has {len(value)} courses; allowed: one per slot, {slots}.")
    found = tuple(np.shape(a)[-1] for a in (value.observed, value.delivered, value.inputs))
    wanted = (len(scenario.variables), len(scenario.interventions), len(scenario.inputs))
    if found != wanted:
        raise SpecError(f"options['history'] has {found} variables, interventions and inputs; declared are {wanted}.")
    for trait in scenario.traits:
        if trait.name not in value.traits or not np.isfinite(value.traits[trait.name]).all():
            raise CohortError(f"options['history'] does not know trait {trait.name!r} of everybody; the twin reads it.")
    made = np.arange(value.delivered.shape[1]) < value.length[:, None]  # (N, T): steps that were made
    for what, numbers in (("delivered", value.delivered), ("inputs", value.inputs[:, :-1])):
        unknown = np.argwhere(made[..., None] & ~np.isfinite(numbers))
        if len(unknown):
            row, step, column = unknown[0]
            raise SpecError(
                f"options['history'].{what} is not known for twin {value.ids[row]} at step {step}, {column}."
            )
    events = [k for k, v in enumerate(scenario.variables) if v.kind == "event"]
    ended = (value.observed[..., events] > 0.0).any(axis=(1, 2))
    if going_on and ended.any():
        raise SpecError(f"the course of twin {value.ids[ended.argmax()]} ended with an event; nothing can follow it.")
    return value


def check_goes_on(history: Courses, dynamics: Dynamics, mode: AutoresetMode, horizon: int) -> None:
    """Refuse courses from which an environment cannot go on.

    Raises:
        DynamicsError: If the dynamics cannot be told what was observed.
        SpecError: If people without a past would come next, or the past is as long as the horizon.
    """
    Observant(dynamics)
    if mode is not AutoresetMode.DISABLED:
        raise SpecError("options['history'] needs autoreset='disabled': whoever came next would have no past.")
    longest = int(history.length.max())
    if longest >= horizon:
        raise SpecError(
            f"options['history'] has courses of {longest} steps, and the horizon is {horizon} from birth on; make the "
            "env with a longer horizon."
        )


def past_people(history: Courses, rows: Rows) -> Cohort:
    """Return the people whose courses stand in ``rows``; what is hidden about them nobody recorded."""
    return Cohort(history.ids[rows], {name: values[rows] for name, values in history.traits.items()})


def past_inputs(history: Courses, rows: Rows, drawn: Floats) -> Floats:
    """Return inputs (R, T + 1, K): as recorded where anything was, else as ``drawn``."""
    inputs = drawn.copy()
    steps = min(history.inputs.shape[1], drawn.shape[1])
    known = np.arange(steps) <= history.length[rows, None]  # (R, steps)
    recorded = history.inputs[rows, :steps]
    inputs[:, :steps] = np.where(known[..., None] & np.isfinite(recorded), recorded, drawn[:, :steps])
    return inputs


def relive(batch: Batch, history: Courses, film: Film | None = None) -> None:
    """Bring everybody in a fresh batch to the end of their recorded course; all arrive together.

    Whoever has the shorter past begins later. The dynamics and the bookkeeping see what was observed and delivered, as
    they do in an episode, and nothing else moves them: no policy, no enforcement, no reward.
    """
    longest = int(history.length.max())
    begins = longest - history.length  # (N,)
    everyone = np.arange(len(history))
    # Events are known of whoever went on: there were none.
    events = [k for k, v in enumerate(batch.scenario.variables) if v.kind == "event"]

    def seen(rows: Rows, t: Rows) -> Floats:
        observed = history.observed[rows, t].copy()
        observed[:, events] = 0.0
        return observed

    batch.seat_again(everyone, seen(everyone, np.zeros(len(everyone), dtype=np.intp)))
    for clock in range(1, longest + 1):
        going = np.flatnonzero(begins < clock)
        t = clock - 1 - begins[going]  # the step each of them makes now
        delivered = np.zeros((len(history), history.delivered.shape[2]))
        delivered[going] = history.delivered[going, t]
        batch.move(delivered, np.flatnonzero(begins >= clock), (going, seen(going, t + 1)))
        if film is not None:
            film.add(delivered, batch.moment)
        late = np.flatnonzero(begins == clock)
        if len(late):
            batch.seat_again(late, seen(late, np.zeros(len(late), dtype=np.intp)))
            if film is not None:
                film.begin(late, batch.moment)
