"""Who sits down in a slot next, and what will happen to them from outside?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from twingym.envs.history import past_inputs, past_people
from twingym.envs.reset_options import ResetOptions
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import MAX_ID, Cohort, Ids, Rows, Split, checked_ids, people, split_of
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

# Keeps the choice of a slot's person apart from the draws that make the person.
_CHOICE = 0x51075


@dataclass(frozen=True)
class Arrival:
    """R people who begin an episode.

    Attributes:
        cohort: The people.
        episode: Number of the episode of each, shape (R,).
        inputs: Their exogenous inputs, shape (T + 1, R, K).
    """

    cohort: Cohort
    episode: Ids
    inputs: Floats


class Newcomers:
    """The next person of every slot, a function of seed, slot and episode.

    Drawing people and inputs costs much per call and little per person: whoever is asked for next, the next
    person of every other slot without one is drawn in the same call.
    """

    def __init__(
        self,
        scenario: Scenario,
        pool: Split | Ids,
        options: ResetOptions,
        seed: int,
        steps: int,
        episode: Ids,
    ) -> None:
        """Prepare the slots (N,).

        Args:
            scenario: Whose people.
            pool: What people are drawn from, where ``options`` name none: a split, or ids.
            options: Which people are wanted.
            seed: Experiment seed.
            steps: Most steps an episode lasts.
            episode: Number of each slot's next episode, shape (N,).
        """
        self._scenario, self._pool, self._wanted = scenario, pool, options
        self._seed = seed
        self._steps = steps
        self.episode = episode.copy()
        self._ready = np.zeros(len(episode), bool)
        self._waiting: Arrival | None = None

    def take(self, rows: Rows) -> Arrival:
        """Return the next people of slots ``rows``.

        Raises:
            CohortError: If nobody fits the condition.
        """
        if self._waiting is None or not self._ready[rows].all():
            empty = np.flatnonzero(~self._ready)
            drawn = self._draw(empty)
            if self._waiting is None:
                self._waiting = drawn
            else:
                self._waiting.inputs[:, empty] = drawn.inputs
                episode = self._waiting.episode.copy()
                episode[empty] = drawn.episode
                self._waiting = Arrival(self._waiting.cohort.put(empty, drawn.cohort), episode, self._waiting.inputs)
            self._ready[empty] = True
        self._ready[rows] = False
        self.episode[rows] += 1
        found = self._waiting
        # take, because inputs[:, rows] would lay each person's course side by side, and reading a step would be slow.
        return Arrival(found.cohort.take(rows), found.episode[rows], found.inputs.take(rows, axis=1))

    def _draw(self, slots: Rows) -> Arrival:
        wanted, episode = self._wanted, self.episode[slots]
        if wanted.history is not None:
            cohort = past_people(wanted.history, slots)
        else:
            ids = self._choose(slots, episode) if wanted.twins is None else wanted.twins[slots]
            cohort = self._scenario.people.sample(ids, wanted.condition, wanted.fixed)
        inputs = np.zeros((len(slots), self._steps + 1, 0))
        if self._scenario.draw_inputs is not None:
            inputs = self._scenario.draw_inputs(cohort, self._seed, episode, self._steps)
        if wanted.history is not None:
            inputs = past_inputs(wanted.history, slots, inputs)
        return Arrival(cohort, episode, np.ascontiguousarray(inputs.swapaxes(0, 1)))

    def _choose(self, slots: Rows, episode: Ids) -> Ids:
        ids = np.empty(len(slots), dtype=np.int64)
        left, attempt = np.arange(len(slots)), 0
        while len(left):
            who = slots[left], episode[left]
            number = uniforms(self._seed ^ _CHOICE, *who, Stream.PERSON, attempt, 1)[:, 0]
            if not isinstance(self._pool, str):
                return self._pool[(number * len(self._pool)).astype(np.intp)]
            ids[left] = (number * MAX_ID).astype(np.int64)
            left, attempt = left[split_of(ids[left]) != self._pool], attempt + 1
        return ids


def checked_pool(pool: str | ArrayLike) -> Split | Ids:
    """Return the split, or the ids, that people are drawn from.

    Raises:
        UnknownNameError: If there is no such split.
        CohortError: If the ids are impossible.
    """
    if isinstance(pool, str):
        people(cast(Split, pool), 0)
        return cast(Split, pool)
    return checked_ids(pool)
