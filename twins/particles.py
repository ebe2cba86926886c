"""Where is a person now, given a stream of readings that are noisy, late or missing?

A particle filter over any :class:`~twingym.twins.dynamics.Dynamics`: many copies of each person move with luck of
their own, are weighed by how well they explain each reading, and are drawn again by their weights. A reading that
arrives late is put where it belongs, and what followed is run again with the same luck: the belief is the one that
punctual readings would have given.

Source: Gordon, Salmond and Smith 1993, IEE Proc. F 140:107 (bootstrap filter).

Legend of shapes: N = people, P = particles of each, V = variables, A = interventions, K = inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from twingym.twins.ancestry import Ancestry, systematic
from twingym.twins.cohort import Cohort, Rows
from twingym.twins.dynamics import Dynamics, State
from twingym.twins.errors import SpecError
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats
from twingym.twins.sensor import Sensor
from twingym.twins.variables import Variable

LEAST_EFFECTIVE = 0.5  # share of particles below which they are drawn again


@dataclass
class _Instant:
    """What led to one time, and what was read then; the state is that before the step."""

    state: State
    log_weight: Floats  # (N, P), normalised, before the step
    log_evidence: Floats  # (N,), before the step
    action: Floats
    inputs: Floats
    reading: Floats  # (N, V), NaN where nothing was read (yet)


class ParticleFilter:
    """A belief about N people that every reading sharpens.

    Attributes:
        t: Steps made.
        particles: What the dynamics says of each particle now, shape (N, P, V).
        weight: Their weights, shape (N, P), summing to 1 over particles.
        log_evidence: Log probability density of all readings so far, shape (N,).
    """

    def __init__(
        self,
        dynamics: Dynamics,
        variables: Sequence[Variable],
        cohort: Cohort,
        inputs: Floats,
        error: Mapping[str, float],
        *,
        particles: int = 256,
        lag: int = 12,
        seed: int = 0,
        pasts: bool = False,
    ) -> None:
        """Begin at birth; the reading of birth, if there is one, comes by :meth:`assimilate`.

        Args:
            dynamics: The model.
            variables: What it observes, in its order.
            cohort: N people.
            inputs: Inputs at birth, (N, K).
            error: Of readings of each variable that is read: a standard deviation in its unit, or the chance to read
                another level; see :class:`~twingym.twins.sensor.Sensor`.
            particles: P.
            lag: How many steps late a reading may be.
            seed: Of all luck.
            pasts: Whether to keep what :meth:`drawn_pasts` tells.

        Raises:
            UnknownNameError: If there is no such variable.
            SpecError: If a number is impossible, or no variable is read at all.
        """
        self._sensor = Sensor(variables, error)
        if exact := [v for v in variables if error.get(v.name) == 0.0]:
            unit = f" {exact[0].unit}" if exact[0].unit else ""
            raise SpecError(
                f"error of {exact[0].name!r} is 0{unit}; allowed: more, or hardly a particle would explain a reading."
            )
        for what, number, least in (("particles", particles, 2), ("lag", lag, 0)):
            if number < least:
                raise SpecError(f"{what} is {number}; allowed: {least} or more.")
            if number % 1:
                raise SpecError(f"{what} is {number}; allowed: a whole number, {least} or more.")
        if not error:
            names = ", ".join(v.name for v in variables)
            raise SpecError(f"error is {{}}, so that no reading would count; allowed: one or more of {names}.")
        self._dynamics, self._cohort, self._seed, self._lag = dynamics, cohort, seed, lag
        self._variables = tuple(variables)
        self._shape = (len(cohort), particles)
        self._rows = np.repeat(np.arange(len(cohort)), particles)
        self._luck = np.tile(np.arange(particles), len(cohort))
        self._past: list[_Instant] = []  # of the last `lag` + 1 steps, oldest first
        self.t = 0
        self._state, seen = dynamics.initial(cohort.take(self._rows), inputs[self._rows], self._noise(0))
        self.particles: Floats = seen.reshape(*self._shape, -1)
        self._log_weight = np.full(self._shape, -np.log(particles))
        self.log_evidence = np.zeros(len(cohort))
        self._newest = np.full((len(cohort), len(variables)), np.nan)  # what was read of the time that it is now
        self._ancestry = Ancestry(self.particles) if pasts else None

    # -- what is believed ------------------------------------------------------------------------------------

    @property
    def weight(self) -> Floats:
        """Weights (N, P)."""
        return np.asarray(np.exp(self._log_weight))

    @property
    def mean(self) -> Floats:
        """Expected values, (N, V)."""
        return np.asarray((self.weight[..., None] * self.particles).sum(axis=1))

    @property
    def variance(self) -> Floats:
        """Variances, (N, V)."""
        return np.asarray((self.weight[..., None] * (self.particles - self.mean[:, None]) ** 2).sum(axis=1))

    @property
    def estimate(self) -> Floats:
        """Expected values, (N, V); of what has levels the most probable one."""
        found, weight = self.mean, self.weight
        for column in np.flatnonzero(self._sensor.levels):
            v, said = self._variables[column], self.particles[..., column]
            levels = np.arange(v.low, v.high + 1.0)
            chances = [np.where(said == level, weight, 0.0).sum(axis=1) for level in levels]
            found[:, column] = levels[np.argmax(chances, axis=0)]
        return found

    @property
    def effective(self) -> Floats:
        """Effective number of particles, (N,)."""
        return np.asarray(1.0 / (self.weight**2).sum(axis=1))

    def drawn_pasts(self, draws: int) -> Floats:
        """Draw courses of what may have been, given all readings so far, (N, ``draws``, t + 1, V).

        Particles are drawn by their weights and followed back to their birth. The further back, the fewer differ, since
        few of those that were there have descendants.

        Raises:
            SpecError: If the filter was not told to keep them.
        """
        if self._ancestry is None:
            raise SpecError("pasts is False, so that nothing was kept; allowed: ParticleFilter(..., pasts=True).")
        u = uniforms(self._seed, self._cohort.ids, 0, Stream.SENSOR, self.t + 1, 1)  # (N, 1)
        return self._ancestry.courses(systematic(self.weight, u, draws))

    # -- moving ----------------------------------------------------------------------------------------------

    def step(self, action: Floats, inputs: Floats, reading: Floats | None = None) -> None:
        """Move one step under delivered amounts (N, A) and inputs (N, K), then take in a reading (N, V), if any.

        Raises:
            SpecError: If the reading is impossible; then nobody has moved.
        """
        if reading is not None:
            self._check_values(reading)
        state = self._dynamics.take(self._state, np.arange(len(self._rows))) if self._lag else None
        nothing = np.full((self._shape[0], self.particles.shape[-1]), np.nan)
        here = _Instant(state, self._log_weight, self.log_evidence, action.copy(), inputs.copy(), nothing)
        self._past = [*self._past, here][-self._lag - 1 :] if self._lag else []
        self._move(action, inputs)
        self._newest = nothing.copy()
        if reading is not None:
            self.assimilate(reading)

    def assimilate(self, reading: Floats, late: int = 0) -> None:
        """Take in the readings of one time.

        Args:
            reading: What was read, (N, V), within the bounds of the variables; NaN where nothing was. Variables without
                a declared error are not looked at.
            late: How many steps ago that was.

        Raises:
            SpecError: If it comes too late, the shape is wrong, a value is impossible, or that was read already; then
                the belief is as it was.
        """
        self.take_in({late: reading})

    def take_in(self, readings: Mapping[int, Floats]) -> None:
        """Take in readings of several times at once, (N, V) by how many steps late they are; see :meth:`assimilate`."""
        kept = len(self._past)
        for late, reading in readings.items():
            self._check(reading, late)
        if kept == 0:
            for reading in readings.values():
                self._newest = np.where(np.isfinite(reading), reading, self._newest)
                self._weigh(reading)
            return
        oldest = 0
        for late, reading in readings.items():
            there = self._past[kept - 1 - late]
            there.reading = np.where(np.isfinite(reading), reading, there.reading)
            if self._sensor.known(reading).any():
                oldest = max(oldest, late)
        if oldest:
            self._again(kept - 1 - oldest)
        elif 0 in readings:
            self._weigh(readings[0])

    def take(self, people: Rows) -> ParticleFilter:
        """Return the belief about some of the people, by their row numbers, as a copy."""
        taken = copy(self)
        count = self._shape[1]
        rows = (people[:, None] * count + np.arange(count)).ravel()

        def of(instant: _Instant) -> _Instant:
            arrays = (instant.log_weight, instant.log_evidence, instant.action, instant.inputs, instant.reading)
            return _Instant(self._dynamics.take(instant.state, rows), *(array[people] for array in arrays))

        taken._cohort, taken._shape = self._cohort.take(people), (len(people), count)
        taken._rows = np.repeat(np.arange(len(people)), count)
        taken._luck = self._luck[rows]
        taken._past = [of(instant) for instant in self._past]
        taken._state = self._dynamics.take(self._state, rows)
        taken.particles, taken._log_weight = self.particles[people], self._log_weight[people]
        taken.log_evidence, taken._newest = self.log_evidence[people], self._newest[people]
        taken._ancestry = None if self._ancestry is None else self._ancestry.take(people)
        return taken

    # -- inside ----------------------------------------------------------------------------------------------

    def _check(self, reading: Floats, late: int) -> None:
        self._check_values(reading)
        kept = len(self._past)
        most = max(kept - 1, 0)
        if not 0 <= late <= most:
            why = (
                f"by the filter's lag of {self._lag}"
                if most == self._lag
                else f"after {self.t} steps; a reading of birth must come before the first step"
            )
            raise SpecError(f"late is {late} steps; allowed: 0 to {most}, {why}.")
        known = self._past[kept - 1 - late].reading if kept else self._newest
        twice = np.isfinite(known) & self._sensor.known(reading)
        if twice.any():
            row, column = np.argwhere(twice)[0]
            raise SpecError(
                f"variable {self._variables[column].name!r} of person {self._cohort.ids[row]} was read already {late} "
                "steps ago; give each reading once."
            )

    def _check_values(self, reading: Floats) -> None:
        wanted = (self._shape[0], self.particles.shape[-1])
        if np.shape(reading) != wanted:
            raise SpecError(f"reading has shape {np.shape(reading)}; allowed: {wanted}, people by variables.")
        self._sensor.check(reading, self._cohort.ids)

    def _again(self, place: int) -> None:
        """Run what is kept again from an instant on, with the same luck and all that is known by now."""
        first = self._past[place]
        now = self.t
        self.t = now - (len(self._past) - place)
        if self._ancestry is not None:
            self._ancestry.forget(self.t)
        self._state = self._dynamics.take(first.state, np.arange(len(self._rows)))
        self._log_weight, self.log_evidence = first.log_weight, first.log_evidence
        for instant in self._past[place:]:
            if instant is not first:
                instant.state = self._dynamics.take(self._state, np.arange(len(self._rows)))
                instant.log_weight, instant.log_evidence = self._log_weight, self.log_evidence
            self._move(instant.action, instant.inputs)
            self._weigh(instant.reading)

    def _move(self, action: Floats, inputs: Floats) -> None:
        origin = self._resample()
        self.t += 1
        rows = self._rows
        self._state, seen = self._dynamics.step(self._state, action[rows], inputs[rows], self._noise(self.t))
        self.particles = seen.reshape(*self._shape, -1)
        if self._ancestry is not None:
            self._ancestry.add(self.particles, origin)

    def _weigh(self, reading: Floats) -> None:
        if not self._sensor.known(reading).any():
            return
        joint = self._log_weight + self._sensor.log_likelihood(reading, self.particles)
        top = joint.max(axis=1, keepdims=True)
        total = top + np.log(np.exp(joint - top).sum(axis=1, keepdims=True))
        self.log_evidence = self.log_evidence + total[:, 0]
        self._log_weight = joint - total

    def _resample(self) -> Rows | None:
        """Draw particles again, systematically, of whoever has too few that count; return which, (N, P), if any."""
        people, count = self._shape
        poor = self.effective < LEAST_EFFECTIVE * count
        if not poor.any():
            return None
        u = uniforms(self._seed, self._cohort.ids, 0, Stream.SENSOR, self.t, 1)  # (N, 1)
        chosen = np.tile(np.arange(count), (people, 1))
        chosen[poor] = systematic(self.weight[poor], u[poor], count)
        self._state = self._dynamics.take(self._state, (np.arange(people)[:, None] * count + chosen).ravel())
        self._log_weight = np.where(poor[:, None], -np.log(count), self._log_weight)
        return chosen

    def _noise(self, step: int) -> Floats:
        ids = self._cohort.ids[self._rows]
        return uniforms(self._seed, ids, self._luck, Stream.DYNAMICS, step, self._dynamics.noise_width)
