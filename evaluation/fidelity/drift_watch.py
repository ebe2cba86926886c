"""Does a model fit these people's recorded courses, step by step, and from when on no longer?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from twingym.envs.history import Observant, checked_history, past_people
from twingym.evaluation.believed_past import readers
from twingym.evaluation.fidelity.scores import rank
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids, Rows
from twingym.twins.courses import Courses
from twingym.twins.drift import DriftTest
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import unknown
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats
from twingym.twins.sensor import Sensor

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 39  # of the next observation; ranks among them are exactly uniform if the model fits

DRIFTED, NO_SIGN, TOO_EARLY = "no longer", "no sign against it", "nothing to tell from yet"


def fit_so_far(
    scenario: Scenario,
    dynamics: Dynamics,
    courses: Courses,
    alpha: float = 0.05,
    seed: int = 0,
    error: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Say of each person whether a model fits their course so far.

    Every tracked variable that the model knows is watched; ``alpha`` is shared evenly between them, so that it bounds
    the chance of any false alarm about a person.

    Args:
        scenario: Whose people.
        dynamics: The model; it must be able to ``observe``.
        courses: N recorded courses.
        alpha: Chance of a false alarm per person, over all variables and times together.
        seed: Of the model's draws.
        error: Of readings by variable (see :class:`~twingym.twins.sensor.Sensor`); then what was expected is what a
            particle filter expected that had read all before.

    Returns:
        One row per person and variable: ``person``, ``variable``, ``observations``, ``evidence`` against the model now,
        ``wanted`` (from how much on it counts), ``since`` (time of the alarm in the scenario's unit, NaN if there was
        none) and ``fits``: ``no longer``, ``no sign against it`` or ``nothing to tell from yet``.
    """
    import pandas as pd

    names = [v.name for v in scenario.variables if v.track and v.seen_by("twin") and v.kind != "event"]
    frames, share = [], alpha / len(names)
    erring = ranks_of_readings(scenario, dynamics, courses, error, seed) if error and any(error.values()) else None
    for name in names:
        ranks = erring[name] if erring is not None else ranks_of_values(scenario, dynamics, courses, name, seed)
        test = tested(ranks, share)
        seen = np.isfinite(ranks).sum(axis=1)
        found = {"person": courses.ids, "variable": name, "observations": seen, "evidence": test.evidence}
        found |= {"wanted": 1.0 / test.alpha, "since": np.where(test.alarmed, test.alarm * scenario.dt, np.nan)}
        verdict = np.where(test.alarmed, DRIFTED, np.where(seen == 0, TOO_EARLY, NO_SIGN))
        frames.append(pd.DataFrame({**found, "fits": verdict}))
    return pd.concat(frames, ignore_index=True)


def watch(
    scenario: Scenario, dynamics: Dynamics, courses: Courses, variable: str, alpha: float = 0.05, seed: int = 0
) -> tuple[DriftTest, Floats]:
    """Test a model on recorded courses, each observation against what the model expected just before it.

    Args:
        scenario: Whose people.
        dynamics: The model; it must be able to ``observe``.
        courses: N recorded courses.
        variable: Which variable is watched.
        alpha: Chance of a false alarm per person.
        seed: Of the model's draws.

    Returns:
        The test, and the ranks of all observations after birth; see :func:`ranks_of_values`.
    """
    ranks = ranks_of_values(scenario, dynamics, courses, variable, seed)
    return tested(ranks, alpha), ranks


def tested(ranks: Floats, alpha: float) -> DriftTest:
    """Return the test that has seen these ranks (N, T), step by step."""
    test = DriftTest(len(ranks), alpha)
    for now in ranks.T:
        test.add(now)
    return test


def ranks_of_values(scenario: Scenario, dynamics: Dynamics, courses: Courses, variable: str, seed: int = 0) -> Floats:
    """Rank each observation of a variable among draws of what the model expected just before it.

    Returns:
        Ranks of all observations after birth, (N, T), NaN where there was none.

    Raises:
        DynamicsError: If the model cannot be told what was observed.
        UnknownNameError: If there is no such variable.
    """
    names = [v.name for v in scenario.variables]
    if variable not in names:
        raise unknown("variable", variable, names)
    checked_history(courses, len(courses), scenario, going_on=False)
    tell, column, everyone = Observant(dynamics), names.index(variable), np.arange(len(courses))
    copies = np.tile(everyone, DRAWS)

    def noise(row: Rows, luck: Ids | int, step: int) -> Floats:
        return uniforms(seed, courses.ids[row], luck, Stream.DYNAMICS, step, dynamics.noise_width)

    ranks = np.full((len(courses), courses.delivered.shape[1]), np.nan)
    state, seen = dynamics.initial(past_people(courses, everyone), courses.inputs[:, 0], noise(everyone, 0, 0))
    state, _ = tell(state, seen, courses.observed[:, 0], everyone)
    for t in range(ranks.shape[1]):
        # Nothing is known of whoever's course is over; what they are given then does not matter.
        action, taken = (np.nan_to_num(block[:, t]) for block in (courses.delivered, courses.inputs))
        luck = np.repeat(np.arange(1, DRAWS + 1), len(courses))
        _, drawn = dynamics.step(
            dynamics.take(state, copies), action[copies], taken[copies], noise(copies, luck, t + 1)
        )
        state, seen = dynamics.step(state, action, taken, noise(everyone, 0, t + 1))
        truth = np.where(t < courses.length, courses.observed[:, t + 1, column], np.nan)
        tie = uniforms(seed, courses.ids, 0, Stream.POLICY, t + 1, 1)[:, 0]
        found = rank(drawn[:, column].reshape(DRAWS, -1), truth, tie)
        ranks[:, t] = np.where(np.isfinite(truth), found, np.nan)
        state, _ = tell(
            state, seen, np.where((t < courses.length)[:, None], courses.observed[:, t + 1], np.nan), everyone
        )
    return ranks


def ranks_of_readings(
    scenario: Scenario, dynamics: Dynamics, courses: Courses, error: Mapping[str, float], seed: int = 0
) -> dict[str, Floats]:
    """Rank readings that err among what a particle filter expected of each, having read all before.

    Args:
        scenario: Whose people.
        dynamics: The model.
        courses: N recorded courses.
        error: Of readings by variable; see :class:`~twingym.twins.sensor.Sensor`.
        seed: Of the particles' luck.

    Returns:
        Ranks of each variable, (N, T), NaN where nothing was read.
    """
    found = {v.name: np.full(courses.delivered.shape[:2], np.nan) for v in scenario.variables}
    sensor = Sensor(scenario.variables, {v.name: error.get(v.name, 0.0) for v in scenario.variables})
    for rows, reader in readers(scenario, dynamics, courses, error, seed=seed):
        for t in reader:
            weight, tie = reader.belief.weight, uniforms(seed, courses.ids[rows], 0, Stream.POLICY, t, 1)[:, 0]
            for k, v in enumerate(scenario.variables):
                read, expected = reader.told[:, t, k], reader.belief.particles[..., k]  # (R,), (R, P)
                chances = sensor.below(k, read[:, None], expected)
                below, upto = ((weight * chance).sum(axis=1) for chance in chances)
                found[v.name][rows, t - 1] = np.where(np.isfinite(read), below + tie * (upto - below), np.nan)
    return found
