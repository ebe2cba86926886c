"""What reaches a policy of the people it treats: readings that err, come late or never, and what it makes of them.

A reading is what the world says of the variables that policies see. Some get lost, in gaps (a two-state chain: Gilbert
1960, Bell Syst. Tech. J. 39:1253); the others arrive late by so many steps. The reading of birth always arrives in
time: before it nothing is known. All of it is a function of seed, person, episode and step.

Legend of shapes: N = people, R = some of them, V = variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids, Rows
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, unknown
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats
from twingym.twins.sensor import Sensor, check_error
from twingym.twins.variables import Variable

MOST_ROWS = 8192  # particles, kept states included, that are moved at a time: enough for speed, little for memory


@dataclass(frozen=True)
class Belief:
    """A particle filter over the twin model; policies are shown the values that it expects, and most probable levels.

    It knows what was delivered, the inputs that policies see, and recorded traits; hidden inputs it guesses as the
    scenario says (``guess_inputs``).

    Attributes:
        particles: How many, for each person.
        weights: Folder of a twin model other than the scenario's own.
        model: Another dynamics in its place, which must not need what is hidden about people.
    """

    particles: int = 64
    weights: Path | None = None
    model: Dynamics | None = None

    def __post_init__(self) -> None:
        """Refuse too few particles.

        Raises:
            SpecError: Naming the number.
        """
        if self.particles < 2:
            raise SpecError(f"particles is {self.particles}; allowed: 2 or more for each person.")


@dataclass(frozen=True)
class Readings:
    """How readings reach a policy.

    Attributes:
        error: Standard deviation of a normal error of each variable's reading, in its unit; of what has levels the
            chance to read another one. No error if not named. Readings stay within the variable's bounds.
        missing: Share of readings that get lost, all variables together.
        gap: Mean steps that a gap lasts; None if each reading is lost by itself.
        late: The most steps that a reading is late; each by a number from 0 to it, all equally likely.
        belief: What policies are shown: what this belief says, or, if None, the values of the last reading.
    """

    error: Mapping[str, float] = field(default_factory=dict)
    missing: float = 0.0
    gap: float | None = None
    late: int = 0
    belief: Belief | None = None

    def __post_init__(self) -> None:
        """Refuse impossible numbers.

        Raises:
            SpecError: Naming the number.
        """
        if not 0.0 <= self.missing < 1.0:
            raise SpecError(f"missing is {self.missing}; allowed: a share of readings, from 0 to less than 1.")
        shortest = max(1.0, self.missing / (1.0 - self.missing))
        if self.gap is not None and not shortest <= self.gap < np.inf:
            raise SpecError(
                f"gap is {self.gap} steps; allowed: {shortest:g} or more where {self.missing:g} of all readings are "
                "missing, or None."
            )
        if self.late < 0:
            raise SpecError(f"late is {self.late} steps; allowed: 0 or more.")

    def check(self, scenario: Scenario) -> None:
        """Refuse errors of what is not read or read exactly, and beliefs about what no particle would meet.

        Raises:
            UnknownNameError: If there is no such variable that policies see; suggests the nearest.
            SpecError: Naming the variable.
        """
        read = {v.name: v for v in read_variables(scenario)}
        for name, spread in self.error.items():
            if name not in read:
                raise unknown("variable that policies read", name, read)
            if read[name].kind == "count" and spread:
                raise SpecError(f"error of {name!r}, of kind count, is {spread}; allowed: 0, it is read exactly.")
            check_error(read[name], spread)
        if self.belief is None:
            return
        for v in read.values():
            if v.kind == "count" or v.has_zero_atom or v.intermittent:
                what = "of kind count" if v.kind == "count" else "often exactly 0"
                what = "seldom measured" if v.intermittent else what
                raise SpecError(
                    "a belief needs variables that are continuous or have levels, and are measured at every step; "
                    f"{v.name!r} is {what}. Show policies the last reading: belief=None (--belief last)."
                )
        hidden = [v.name for v in scenario.inputs if not v.seen_by("policy")]
        if hidden and scenario.guess_inputs is None:
            raise SpecError(
                f"a belief about people of {scenario.id!r} must guess {', '.join(hidden)}, which policies are not "
                "shown; give the scenario guess_inputs, or use belief=None (--belief last)."
            )

    def most_people(self, batch: int) -> int:
        """Return how many people are best followed at a time, at most ``batch``."""
        kept = 0 if self.belief is None else self.belief.particles * (self.late + 1)
        return batch if kept == 0 else max(1, min(batch, MOST_ROWS // kept))

    def described(self) -> dict[str, Any]:
        """Return what was asked for as plain JSON."""
        said = {"error": dict(self.error), "missing": self.missing, "gap": self.gap, "late": self.late}
        if self.belief is None:
            return said | {"belief": "last"}
        model = None if self.belief.model is None else type(self.belief.model).__name__
        weights = None if self.belief.weights is None else str(self.belief.weights)
        return said | {"belief": "particles", "particles": self.belief.particles, "weights": weights, "model": model}


def read_variables(scenario: Scenario) -> tuple[Variable, ...]:
    """Return the variables that policies read; events are known without."""
    return tuple(v for v in scenario.variables if v.seen_by("policy") and v.kind != "event")


@dataclass(frozen=True)
class Arrival:
    """Readings that arrive together.

    Attributes:
        late: How many steps ago they were taken.
        rows: Whose, (R,).
        values: What they say, (R, V); NaN in columns that are not read, or were not measured.
    """

    late: int
    rows: Rows
    values: Floats


class Post:
    """The readings of N people on their way."""

    def __init__(self, scenario: Scenario, readings: Readings, people: int, seed: int) -> None:
        """Begin with nothing on its way."""
        read, count = read_variables(scenario), len(scenario.variables)
        self._readings, self._seed = readings, seed
        self.columns = np.array([k for k, v in enumerate(scenario.variables) if v in read], dtype=np.intp)
        self._sensor = Sensor(read, {v.name: readings.error.get(v.name, 0.0) for v in read})
        self._lost = np.zeros(people, bool)
        # By how many steps ago they were taken; -1: lost, or there already.
        self._due = np.full((readings.late + 1, people), -1)
        self._sent = np.full((readings.late + 1, people, count), np.nan)

    def at_birth(self, rows: Rows, ids: Ids, episode: Ids, truth: Floats) -> Floats:
        """Return the first readings (R, V) of new people in ``rows``; nothing of the old ones arrives any more."""
        u = self._uniforms(ids, episode, np.zeros(len(rows), dtype=np.int64))
        self._lost[rows] = u[:, 0] < self._readings.missing  # so that the share is right from the first step on
        self._due[:, rows] = -1
        return self._erring(truth, u)

    def step(self, rows: Rows, ids: Ids, episode: Ids, t: Ids, truth: Floats) -> list[Arrival]:
        """Send the readings of ``truth`` (R, V), taken at steps ``t`` (R,), and return what arrives, the oldest first.

        Whoever is not in ``rows`` sends and receives nothing.
        """
        u = self._uniforms(ids, episode, t)
        share, gap = self._readings.missing, self._readings.gap
        if gap is None:
            lost = u[:, 0] < share
        else:
            begins = share / (gap * (1.0 - share))  # chance that a gap begins, where none is
            lost = np.where(self._lost[rows], u[:, 0] >= 1.0 / gap, u[:, 0] < begins)
        self._lost[rows] = lost
        self._due[1:, rows], self._sent[1:, rows] = self._due[:-1, rows], self._sent[:-1, rows]
        delay = np.floor(u[:, 1] * (self._readings.late + 1)).astype(np.int64)
        self._due[0, rows], self._sent[0, rows] = np.where(lost, -1, delay), self._erring(truth, u)
        arriving = [(late, rows[self._due[late, rows] == late]) for late in range(self._readings.late, -1, -1)]
        return [Arrival(late, who, self._sent[late, who]) for late, who in arriving if len(who)]

    def _uniforms(self, ids: Ids, episode: Ids, t: Ids) -> Floats:
        return uniforms(self._seed, ids, episode, Stream.SENSOR, t, 2 + len(self.columns))

    def _erring(self, truth: Floats, u: Floats) -> Floats:
        found = np.full_like(truth, np.nan)
        found[:, self.columns] = self._sensor.draw(truth[:, self.columns], u[:, 2:])
        return found
