"""What must a model of people over time be able to do?"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from twingym.twins.cohort import Cohort, Rows
from twingym.twins.scales import Floats

# Each dynamics keeps what it likes; nobody else looks inside.
State = Any


class Dynamics(Protocol):
    """A batch of people moved one step at a time: a published reference, or a learned twin model.

    Deterministic in its arguments: randomness comes in as ``noise``. It knows neither reward nor episodes. A
    ``step`` may reuse the state it was given; ``take`` copies, for branching.

    Attributes:
        noise_width: Uniform numbers each person needs per step (and at birth).
    """

    noise_width: int

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[State, Floats]:
        """Begin a course for every person.

        Args:
            cohort: N people.
            inputs: Exogenous inputs at birth, shape (N, K), physical units.
            noise: Uniforms in (0, 1), shape (N, noise_width).

        Returns:
            The state, and what is observed at birth, shape (N, V), in the scenario's declared order and units;
            NaN where this dynamics does not know a variable.
        """
        ...

    def step(self, state: State, action: Floats, inputs: Floats, noise: Floats) -> tuple[State, Floats]:
        """Move everyone one time step.

        Args:
            state: What the last call returned.
            action: Delivered physical amounts over this step, shape (N, A).
            inputs: Exogenous inputs in force over this step, shape (N, K), physical units.
            noise: Uniforms in (0, 1), shape (N, noise_width).

        Returns:
            The state, and what is observed at the end of the step, shape (N, V).
        """
        ...

    def restart(self, state: State, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[State, Floats]:
        """Begin new courses in ``rows`` and leave the others untouched.

        Args:
            state: The whole batch's state.
            rows: Row numbers, shape (R,).
            cohort: The R new people.
            inputs: Their inputs at birth, shape (R, K).
            noise: Their uniforms, shape (R, noise_width).

        Returns:
            The whole batch's state, and the R rows' first observations, shape (R, V).
        """
        ...

    def take(self, state: State, rows: Rows) -> State:
        """Return a copy of the state of ``rows``, in that order; repeats are allowed (branching)."""
        ...


class ArrayDynamics:
    """A dynamics whose state is one array, (K, N), of K numbers about each of N people; only two methods are left."""

    noise_width = 0

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Begin a course for every person; see :class:`Dynamics`."""
        raise NotImplementedError

    def step(self, state: Floats, action: Floats, inputs: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Move everyone one time step; see :class:`Dynamics`."""
        raise NotImplementedError

    def restart(
        self, state: Floats, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[Floats, Floats]:
        """Begin new courses in ``rows``; see :class:`Dynamics`."""
        fresh, observed = self.initial(cohort, inputs, noise)
        state = state.copy()
        state[:, rows] = fresh
        return state, observed

    def take(self, state: Floats, rows: Rows) -> Floats:
        """Copy ``rows``; see :class:`Dynamics`."""
        return state[:, rows]


@runtime_checkable
class Uncertain(Protocol):
    """A dynamics that knows how little it knows: several heads, each person bound to one for an episode.

    Attributes:
        heads: How many there are.
    """

    heads: int

    def bind(self, state: State, head: Rows) -> State:
        """Bind people to other heads, shape (N,), from here on."""
        ...

    def disagreement(self, state: State) -> Floats:
        """Return how unsure the model is of the last step, shape (N,): a standard deviation, in typical changes."""
        ...
