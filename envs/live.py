"""What does a policy know of the people in the slots, when only readings reach it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from twingym.envs.batch import Batch
from twingym.envs.dynamics import resolve
from twingym.envs.guessed_inputs import GuessedInputs
from twingym.envs.moment import Moment, Reading
from twingym.envs.readings import Arrival, Belief, Post, Readings, read_variables
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import Cohort, Ids, Rows
from twingym.twins.dynamics import Dynamics
from twingym.twins.followed import Followed
from twingym.twins.scales import Floats
from twingym.twins.sensor import LEVELS
from twingym.twins.variables import Variable

# Keeps the luck of particles apart from that of the people they stand for.
_PARTICLES = 0xBE11EF
# An error below this share of the typical change counts as this: hardly a particle would come nearer to a reading.
LEAST_ERROR = 0.25
# The same of levels, as a chance: some particles must be left where none is right in all variables.
LEAST_CHANCE = 0.01
_EVENT_ERROR = 1e-9  # so that a particle in which somebody's episode ended counts nothing while it goes on


class Live:
    """The moment as a policy knows it: like the true one, but of what is read only what the readings say.

    Counters are those of a device that sees readings too: they count what was believed when, and are not corrected
    by readings that come late. Rewards, costs, hard constraints and the end of an episode are those of the world.

    Attributes:
        moment: What is known now.
        age: Steps since the newest reading that is known was taken, (N,).
    """

    def __init__(
        self, scenario: Scenario, readings: Readings, model: Dynamics | None, batch: Batch, seed: int, horizon: int
    ) -> None:
        """Begin with everybody in a fresh batch; ``model`` moves the particles, if there is a belief."""
        people = len(batch.episode)
        self._scenario, self._post = scenario, Post(scenario, readings, people, seed)
        self._seen = Reading(scenario, "twin", horizon)
        self._exact = np.array([readings.error.get(v.name, 0.0) == 0.0 for v in read_variables(scenario)])
        self._seldom = [k for k in self._post.columns if scenario.variables[k].intermittent]
        self._events = np.array([k for k, v in enumerate(scenario.variables) if v.kind == "event"], dtype=np.intp)
        self._hidden = [k for k, v in enumerate(scenario.inputs) if not v.seen_by("policy")]
        self._followed: Followed | None = None
        if readings.belief is not None and model is not None:
            self._followed = Followed(
                model if scenario.guess_inputs is None else GuessedInputs(model, scenario.guess_inputs),
                scenario.variables,
                assumed_errors(scenario, readings),
                people,
                particles=readings.belief.particles,
                lag=readings.late,
                seed=seed ^ _PARTICLES,
            )
        self.age: Ids = np.zeros(people, dtype=np.int64)
        self.moment = batch.moment
        self.begin(np.arange(people), batch)

    def begin(self, rows: Rows, batch: Batch) -> None:
        """Get to know the newcomers in ``rows``."""
        who = batch.moment.take(rows)
        first = self._post.at_birth(rows, who.cohort.ids, batch.episode[rows], who.observed.T)
        self.age[rows] = 0
        shown = first[:, self._post.columns]
        if self._followed is not None:
            # What is hidden about people is hidden from whoever has a belief about them.
            known = Cohort(who.cohort.ids, who.cohort.traits)
            reading = self._with_events(first)
            self._followed.begin(rows, known, self._public(who.inputs), reading)
            expected = self._followed.estimate[rows][:, self._post.columns]
            shown = np.where(self._exact, shown, expected)
        believed = self._believing(who, shown)
        if self._scenario.bookkeeping is not None:
            memory = self._scenario.bookkeeping.start(self._seen(believed, derived=False))
            believed = replace(believed, memory=memory)
        self.moment = self.moment.put(rows, believed)

    def move(self, batch: Batch, idle: Rows) -> None:
        """Take in what arrives after the batch has moved, for all but those in ``idle``."""
        assert batch.last is not None
        before, delivered, after = batch.last
        live = np.setdiff1d(np.arange(len(self.age)), idle)
        arrivals = self._post.step(
            live, after.cohort.ids[live], batch.episode[live], after.t[live], after.observed.T[live]
        )
        shown = self.moment.observed[self._post.columns].T.copy()  # (N, C)
        shown[np.ix_(live, np.isin(self._post.columns, self._seldom))] = np.nan
        self.age[live] += 1
        for arrival in arrivals:  # the oldest first
            newer = self.age[arrival.rows] > arrival.late
            rows = arrival.rows[newer]
            shown[rows] = arrival.values[newer][:, self._post.columns]
            self.age[rows] = arrival.late
        if self._followed is not None:
            self._followed.leave(idle)
            self._followed.step(delivered, self._public(before.inputs), self._by_lateness(arrivals, live))
            expected = self._followed.estimate[:, self._post.columns]
            certain = self._exact & (self.age == 0)[:, None]
            shown = np.where(certain | np.isnan(expected), shown, expected)
        self.moment = self._counted(self._believing(after, shown), delivered, batch.moment, idle)

    # -- inside ----------------------------------------------------------------------------------------------

    def _counted(self, end: Moment, delivered: Floats, now: Moment, idle: Rows) -> Moment:
        """Let the counters follow; then inputs are those in force ``now``."""
        start, bookkeeping = self.moment, self._scenario.bookkeeping
        if bookkeeping is not None:
            amounts = Values({i.name: delivered[:, k] for k, i in enumerate(self._scenario.interventions)})
            step = Step(self._seen(start), amounts, self._seen(end, inputs=False, derived=False))
            end = replace(end, memory=bookkeeping.update(start.memory, step))
        if len(idle):
            end = end.put(idle, start.take(idle))
        return replace(end, inputs=now.inputs)

    def _believing(self, moment: Moment, shown: Floats) -> Moment:
        """Return a moment in which the variables that are read are as ``shown``, (N, C)."""
        observed = moment.observed.copy()
        observed[self._post.columns] = shown.T
        return replace(moment, observed=observed)

    def _public(self, inputs: Floats) -> Floats:
        """Return inputs (N, K) with NaN where policies are not shown them."""
        found = inputs.copy()
        found[:, self._hidden] = np.nan
        return found

    def _with_events(self, reading: Floats) -> Floats:
        """Return readings (N, V) that say that no episode ended: one knows of whoever goes on."""
        told = reading.copy()
        told[:, self._events] = 0.0
        return told

    def _by_lateness(self, arrivals: list[Arrival], live: Rows) -> Mapping[int, Floats]:
        """Return arrivals as (N, V) by how late they are."""
        shape = (len(self.age), len(self._scenario.variables))
        found = {0: np.full(shape, np.nan)}
        for arrival in arrivals:
            told = found.setdefault(arrival.late, np.full(shape, np.nan))
            told[arrival.rows] = arrival.values
        found[0][np.ix_(live, self._events)] = 0.0
        return found


def believer(scenario: Scenario, belief: Belief | None) -> Dynamics | None:
    """Return what moves the particles: the twin model, whatever moves the people.

    Raises:
        WeightsError: If there is none.
    """
    if belief is None:
        return None
    return resolve(scenario, "transformer" if belief.model is None else belief.model, belief.weights)


def assumed_errors(scenario: Scenario, readings: Readings) -> dict[str, float]:
    """Return the error that a filter assumes of each variable: the declared one, unless that is very small."""

    def least(v: Variable) -> float:
        if v.kind in LEVELS:
            return LEAST_CHANCE
        half = 0.5 * LEAST_ERROR * v.unit_change
        return float(v.from_unit(np.array(half)) - v.from_unit(np.array(-half)))

    found = {v.name: max(readings.error.get(v.name, 0.0), least(v)) for v in read_variables(scenario)}
    return found | {v.name: _EVENT_ERROR for v in scenario.events}
