"""What may truly have been, where the readings of a recorded past err?

A particle filter over the twin model follows the readings from birth on. Whatever then goes on from the past, goes on
from courses that were drawn from what the filter holds possible: where people are now is as uncertain as it is.

Legend of shapes: N = people, S = draws, T = steps, V = variables, K = inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from twingym.envs.guessed_inputs import GuessedInputs
from twingym.envs.history import past_inputs, past_people
from twingym.envs.live import assumed_errors
from twingym.envs.readings import MOST_ROWS, Belief, Readings
from twingym.scenarios.inputs import Guess
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Rows
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics
from twingym.twins.particles import ParticleFilter
from twingym.twins.scales import Floats

PARTICLES = 256  # at least, for each person


def checked_errors(scenario: Scenario, error: Mapping[str, float]) -> Readings:
    """Return readings with these errors of variables by name; see :class:`~twingym.twins.sensor.Sensor`.

    Raises:
        UnknownNameError: If there is no such variable that is read.
        SpecError: If a number is impossible, or nothing can be believed about such people.
    """
    readings = Readings(error, belief=Belief(PARTICLES))
    readings.check(scenario)
    return readings


def believed_past(
    scenario: Scenario, dynamics: Dynamics, history: Courses, error: Mapping[str, float], draws: int, seed: int = 0
) -> Courses:
    """Draw what may have been of N people: S * N courses, people within draws.

    What is read without error stays as it was read.

    Args:
        scenario: Whose people.
        dynamics: The twin model.
        history: What was read of them.
        error: See :func:`checked_errors`.
        draws: S.
        seed: Of the particles' luck.
    """
    exact = np.array([not error.get(v.name, 0.0) for v in scenario.variables])
    observed = np.tile(history.observed, (draws, 1, 1, 1))  # (S, N, T + 1, V)
    for rows, reader in readers(scenario, dynamics, history, error, max(PARTICLES, draws), seed):
        for _ in reader:
            pass
        drawn = reader.belief.drawn_pasts(draws).swapaxes(0, 1)  # (S, R, t + 1, V)
        read = observed[:, rows, : drawn.shape[2]]
        observed[:, rows, : drawn.shape[2]] = np.where(exact & np.isfinite(read), read, drawn)
    past = history.take(np.tile(np.arange(len(history)), draws))
    return replace(past, observed=observed.reshape(past.observed.shape))


def readers(
    scenario: Scenario,
    dynamics: Dynamics,
    history: Courses,
    error: Mapping[str, float],
    particles: int = PARTICLES,
    seed: int = 0,
) -> Iterator[tuple[Rows, Reader]]:
    """Yield readers and of whom, (R,): few enough at a time, and equally long, so that company does not matter."""
    together = max(1, MOST_ROWS // particles)
    for length in np.unique(history.length):
        alike = np.flatnonzero(history.length == length)
        for first in range(0, len(alike), together):
            rows = alike[first : first + together]
            yield rows, Reader(scenario, dynamics, history.take(rows), error, particles, seed)


class Reader:
    """Reads the past of people of whom equally much was recorded.

    Iterate over its times, from 1 on: the reading of each is taken in when the next is asked for.

    Attributes:
        belief: What is believed now.
        told: Readings, (N, T + 1, V), NaN where there was none.
    """

    def __init__(
        self,
        scenario: Scenario,
        dynamics: Dynamics,
        history: Courses,
        error: Mapping[str, float],
        particles: int,
        seed: int,
    ) -> None:
        """Begin at birth, whose reading is taken in; arguments as of :func:`believed_past`."""
        guess, self._steps = scenario.guess_inputs, int(history.length[0])
        self.told, self._delivered = history.observed.copy(), history.filled().delivered
        self._inputs = _inputs(scenario, history, seed)
        # Events are known of whoever goes on: there were none.
        self.told[..., [k for k, v in enumerate(scenario.variables) if v.kind == "event"]] = 0.0
        self.belief = ParticleFilter(
            dynamics if guess is None else GuessedInputs(dynamics, _where_unknown(guess)),
            scenario.variables,
            past_people(history, np.arange(len(history))),
            self._inputs[:, 0],
            assumed_errors(scenario, checked_errors(scenario, error)),
            particles=particles,
            lag=0,
            seed=seed,
            pasts=True,
        )
        self.belief.assimilate(self.told[:, 0])

    def __iter__(self) -> Iterator[int]:
        """Yield each time."""
        for t in range(self._steps):
            self.belief.step(self._delivered[:, t], self._inputs[:, t])
            yield t + 1
            self.belief.assimilate(self.told[:, t + 1])


def _inputs(scenario: Scenario, history: Courses, seed: int) -> Floats:
    """Inputs (N, T + 1, K): as recorded; else NaN where particles guess them, or drawn."""
    if scenario.guess_inputs is not None or scenario.draw_inputs is None:
        return history.inputs
    rows = np.arange(len(history))
    cohort, episode = past_people(history, rows), np.zeros(len(rows), dtype=np.int64)
    return past_inputs(history, rows, scenario.draw_inputs(cohort, seed, episode, history.inputs.shape[1] - 1))


def _where_unknown(guess: Guess) -> Guess:
    """Guess only what was not recorded."""

    def guessed(shown: Floats, memory: Floats, u: Floats) -> tuple[Floats, Floats]:
        taken, memory = guess(shown, memory, u)
        return np.where(np.isfinite(shown), shown, taken), memory

    return guessed
