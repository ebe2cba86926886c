"""How does a model move people whose inputs are known in part?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twingym.scenarios.inputs import Guess
from twingym.twins.cohort import Cohort, Rows
from twingym.twins.dynamics import Dynamics, State
from twingym.twins.scales import Floats


@dataclass(frozen=True)
class Guessed:
    """What the model remembers, and what the guess does, (N,)."""

    inner: State
    memory: Floats


class GuessedInputs:
    """A dynamics that is given the inputs that are shown, NaN where they are hidden, and guesses the others.

    Each copy of a person guesses with luck of its own, so that a particle filter keeps the guesses that readings bear
    out.
    """

    def __init__(self, dynamics: Dynamics, guess: Guess) -> None:
        """Let ``dynamics`` move people by guessed inputs."""
        self._dynamics, self._guess = dynamics, guess
        self.noise_width = dynamics.noise_width + 1

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Guessed, Floats]:
        """Begin a course for every person; what is in force at birth is guessed when they first move."""
        inner, seen = self._dynamics.initial(cohort, np.nan_to_num(inputs), noise[:, :-1])
        return Guessed(inner, np.zeros(len(cohort))), seen

    def step(self, state: Guessed, action: Floats, inputs: Floats, noise: Floats) -> tuple[Guessed, Floats]:
        """Move everyone one time step."""
        taken, memory = self._guess(inputs, state.memory, noise[:, -1])
        inner, seen = self._dynamics.step(state.inner, action, taken, noise[:, :-1])
        return Guessed(inner, memory), seen

    def restart(
        self, state: Guessed, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[Guessed, Floats]:
        """Begin new courses in ``rows``."""
        inner, seen = self._dynamics.restart(state.inner, rows, cohort, np.nan_to_num(inputs), noise[:, :-1])
        memory = state.memory.copy()
        memory[rows] = 0.0
        return Guessed(inner, memory), seen

    def take(self, state: Guessed, rows: Rows) -> Guessed:
        """Copy ``rows``, with their guesses."""
        return Guessed(self._dynamics.take(state.inner, rows), state.memory[rows])
