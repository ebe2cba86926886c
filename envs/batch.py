"""Who sits in the slots right now, and how do they move?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twingym.envs.history import Observant
from twingym.envs.moment import Moment, Reading
from twingym.envs.newcomers import Arrival, Newcomers
from twingym.envs.tape import NoiseTape
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import Ids, Rows
from twingym.twins.dynamics import Dynamics, State
from twingym.twins.errors import DynamicsError, SpecError
from twingym.twins.scales import Floats


class Batch:
    """N people in the middle of their episodes.

    Attributes:
        scenario: The problem.
        moment: What is true now.
        now: The part of it that reward, costs and bookkeeping may read.
        episode: Number of each one's episode, shape (N,).
        state: What the dynamics remembers.
        last: The moments before and after the last step, and the amounts (N, A) delivered between them; slots
            that were given to newcomers since show the old person.
    """

    def __init__(self, scenario: Scenario, dynamics: Dynamics, newcomers: Newcomers, seed: int, horizon: int) -> None:
        """Seat newcomers in all slots.

        Raises:
            CohortError: If nobody fits what was asked for.
            DynamicsError: If the dynamics does not say what it must.
        """
        self.scenario, self._dynamics, self._newcomers = scenario, dynamics, newcomers
        self._seen, self._audit = Reading(scenario, "twin", horizon), Reading(scenario, "auditor", horizon)
        self._low = np.array([[v.low] for v in scenario.variables])
        self._high = np.array([[v.high] for v in scenario.variables])
        self._needed = np.array([v.seen_by("twin") and not v.intermittent for v in scenario.variables])
        self._hidden = not self._needed.all()

        self._slots = np.arange(len(newcomers.episode))
        arrival = newcomers.take(self._slots)
        self.episode, self._inputs = arrival.episode, arrival.inputs
        self._tape = NoiseTape(seed, dynamics.noise_width, arrival.cohort.ids, arrival.episode)
        self.state: State
        self.state, observed = dynamics.initial(arrival.cohort, arrival.inputs[0], self._tape.birth())
        self.moment = self._born(arrival, observed)
        self.now = self._seen(self.moment)
        self.last: tuple[Moment, Floats, Moment] | None = None

    def move(self, delivered: Floats, idle: Rows, recorded: tuple[Rows, Floats] | None = None) -> Step:
        """Move everybody one step, but leave those in ``idle`` where they are.

        Args:
            delivered: Physical amounts, shape (N, A).
            idle: Slots whose episode is over, shape (I,).
            recorded: Slots (R,) and what was observed there (R, V) in place of what is drawn; nothing by default.

        Returns:
            The step as reward and costs may see it.

        Raises:
            DynamicsError: If a variable that reward, costs or policies read is not a number.
        """
        start = self.moment
        self.state, observed = self._dynamics.step(self.state, delivered, start.inputs, self._tape.read())
        if recorded is not None:
            rows, known = recorded
            self.state, observed = Observant(self._dynamics)(self.state, observed, known, rows)
        block = self._checked(observed, start.cohort.ids, start.t + 1, idle)
        block[:, idle] = start.observed[:, idle]
        end = Moment(start.cohort, block, start.inputs, {}, start.t + 1)
        amounts = self._amounts(delivered)
        bookkeeping = self.scenario.bookkeeping
        if bookkeeping is not None:
            memory = bookkeeping.update(
                start.memory, Step(self.now, amounts, self._seen(end, inputs=False, derived=False))
            )
            end = Moment(end.cohort, block, end.inputs, memory, end.t)
        if len(idle):
            end = end.put(idle, start.take(idle))
        self.last = (start, delivered, end)
        step = Step(self.now, amounts, self._seen(end, inputs=False))
        self._arrive(Moment(end.cohort, end.observed, self._inputs[end.t, self._slots], end.memory, end.t))
        return step

    def begin(self, rows: Rows) -> None:
        """Seat newcomers in ``rows``."""
        arrival = self._newcomers.take(rows)
        self._inputs[:, rows] = arrival.inputs
        self._seat(rows, arrival)

    def seat_again(self, rows: Rows, recorded: Floats) -> None:
        """Begin the episodes in ``rows`` (R,) again with what was observed at birth, (R, V), NaN where missing."""
        people = self.moment.cohort.take(rows)
        self._seat(rows, Arrival(people, self.episode[rows], self._inputs[:, rows]), recorded)

    def _seat(self, rows: Rows, arrival: Arrival, recorded: Floats | None = None) -> None:
        noise = self._tape.restart(rows, arrival.cohort.ids, arrival.episode)
        self.state, observed = self._dynamics.restart(self.state, rows, arrival.cohort, arrival.inputs[0], noise)
        if recorded is not None:
            everybody = self.moment.observed.T.copy()  # (N, V)
            everybody[rows] = observed
            self.state, everybody = Observant(self._dynamics)(self.state, everybody, recorded, rows)
            observed = everybody[rows]
        self.episode = self.episode.copy()
        self.episode[rows] = arrival.episode
        self._arrive(self.moment.put(rows, self._born(arrival, observed)))

    def audit_values(self) -> Values:
        """Return everything that is true now, auditor variables included, by name."""
        return self._audit(self.moment)

    def audit_step(self) -> Step | None:
        """Return the last step with auditor variables; None before the first."""
        if self.last is None:
            return None
        before, delivered, after = self.last
        return Step(self._audit(before), self._amounts(delivered), self._audit(after, inputs=False))

    # -- inside ----------------------------------------------------------------------------------------------

    def _arrive(self, moment: Moment) -> None:
        self.moment, self.now = moment, self._seen(moment)

    def _amounts(self, delivered: Floats) -> Values:
        return Values({i.name: delivered[:, column] for column, i in enumerate(self.scenario.interventions)})

    def _born(self, arrival: Arrival, observed: Floats) -> Moment:
        missing = [v.name for v in self.scenario.traits if v.name not in arrival.cohort.traits]
        if missing:
            raise SpecError(f"scenario {self.scenario.id!r}: people lack the trait {missing[0]!r}; draw it.")
        t = np.zeros(len(arrival.cohort), dtype=np.int64)
        none_idle = np.empty(0, dtype=np.intp)
        block = self._checked(observed, arrival.cohort.ids, t, none_idle)
        moment = Moment(arrival.cohort, block, arrival.inputs[0], {}, t)
        if self.scenario.bookkeeping is None:
            return moment
        memory: Mapping[str, Floats] = self.scenario.bookkeeping.start(self._seen(moment, derived=False))
        return Moment(moment.cohort, moment.observed, moment.inputs, memory, t)

    def _checked(self, observed: Floats, ids: Ids, t: Ids, idle: Rows) -> Floats:
        """Return what a dynamics said as (V, N) within the bounds; what is intermittent or for auditors may be NaN."""
        variables = self.scenario.variables
        if np.shape(observed) != (len(ids), len(variables)):
            raise DynamicsError(
                f"the dynamics of {self.scenario.id} observed an array of shape {np.shape(observed)}; "
                f"allowed: {(len(ids), len(variables))}, one row per person and one column per variable."
            )
        block = np.array(observed.T, dtype=np.float64, order="C")
        finite = np.isfinite(block[self._needed] if self._hidden else block)
        if not finite.all():
            finite[:, idle] = True
            wrong = np.argwhere(~finite)
            if len(wrong):
                column, row = int(np.flatnonzero(self._needed)[wrong[0, 0]]), int(wrong[0, 1])
                variable = variables[column]
                number = block[column, row]
                raise DynamicsError(
                    f"variable {variable.name!r} is {number} for twin {ids[row]} at step {t[row]}; "
                    f"allowed: {variable.low:g} to {variable.high:g} {variable.unit}. "
                    f"{type(self._dynamics).__name__} must say what rewards and policies read."
                )
        return np.asarray(np.minimum(np.maximum(block, self._low, out=block), self._high, out=block))
