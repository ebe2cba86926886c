"""By which laws may treatment depart from a rule, and how likely was what was chosen?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from twingym.twins.scales import Floats

CLINICIAN, EXPLORATORY, RANDOMISED = range(3)
Modes = NDArray[np.intp]

# Amounts, on the policy's scale [-1, 1].
CLINICIAN_SD = 0.02
EXPLORATORY_SD = (0.1, 0.5)
MEMORY = (0.6, 0.97)  # of exploratory deviations, per step
MOST_OMITTED, MOST_EXTRA = 0.05, 0.01  # per step
RANDOM_SD = (0.1, 0.3)
HELD = (4.0, 48.0)  # mean steps that a random dose is held
LARGE_AT_EVENT = 0.8
# Levels.
CLINICIAN_EPSILON = 0.05
EXPLORATORY_EPSILON = (0.1, 0.5)
CONTROLS = 0.25  # of randomised people: never get anything
CONTACT_RATE = (0.02, 1.0)
FAVOURED = 0.7  # of a randomised person's contacts are of one kind
HABIT_LASTS = (4.0, 48.0)  # steps


class AmountLaw:
    """How amounts are chosen around what a rule proposes, for N people with modes and traits of their own.

    Clinicians deviate a little at each step. Exploration adds a lasting Gaussian deviation, AR(1), omits
    doses and adds extra ones. Randomised doses hold a random level around the usual one for random times, and
    often give a large dose of random size when the inputs announce something.
    """

    per_person = 6
    per_step = 4

    def __init__(self, mode: Modes, own: Floats, usual: Floats) -> None:
        """Draw each person's habits.

        Args:
            mode: One of the three modes, shape (N,).
            own: Uniforms, shape (N, per_person).
            usual: The usual action, shape (N, A); what the baseline does at birth.
        """
        rule, explore = mode != RANDOMISED, mode == EXPLORATORY
        self._random = ~rule[:, None]
        self._usual = usual
        self._memory = np.where(explore, _between(own[:, 0], *MEMORY), 0.0)[:, None]
        sd = np.where(explore, _between(own[:, 1], *EXPLORATORY_SD), CLINICIAN_SD)[:, None]
        self._sd = np.where(self._random, _between(own[:, 2], *RANDOM_SD)[:, None], sd * np.sqrt(1.0 - self._memory**2))
        self._omitted = np.where(explore, MOST_OMITTED * own[:, 3], 0.0)[:, None]
        self._extra = np.where(explore, MOST_EXTRA * own[:, 4], 0.0)[:, None]
        self._switch = np.exp(-_between(own[:, 5], *np.log(HELD)))[:, None]
        self._deviation = np.zeros_like(usual)
        self._held: Floats | None = None

    def draw(self, proposed: Floats, eventful: NDArray[np.bool_], u: Floats) -> tuple[Floats, Floats]:
        """Return actions (N, A) and their log density or log probability (N,).

        Args:
            proposed: What the rule would do, shape (N, A).
            eventful: For whom the inputs announce something, shape (N,).
            u: Uniforms, shape (N, A, per_step).
        """
        z, branch, size, switch = ndtri(u[..., 0]), u[..., 1], u[..., 2], u[..., 3]
        by_rule, chance_by_rule = self._by_rule(proposed, z, branch, size)
        at_random, chance_at_random = self._at_random(eventful[:, None], z, branch, size, switch)
        actions = np.where(self._random, at_random, by_rule)
        return actions, np.log(np.where(self._random, chance_at_random, chance_by_rule)).sum(axis=1)

    def _by_rule(self, proposed: Floats, z: Floats, branch: Floats, size: Floats) -> tuple[Floats, Floats]:
        mean = proposed + self._memory * self._deviation
        asked = mean + self._sd * z
        self._deviation = asked - proposed
        omit, extra = branch < self._omitted, branch > 1.0 - self._extra
        action = np.where(omit, -1.0, np.where(extra, 2.0 * size - 1.0, np.clip(asked, -1.0, 1.0)))
        inside = np.abs(action) < 1.0
        chance = (1.0 - self._omitted - self._extra) * _censored(action, mean, self._sd)
        return action, chance + np.where(inside, 0.5 * self._extra, np.where(action < 0.0, self._omitted, 0.0))

    def _at_random(
        self, eventful: NDArray[np.bool_], z: Floats, branch: Floats, size: Floats, switch: Floats
    ) -> tuple[Floats, Floats]:
        before = self._held
        switched = np.ones_like(z, dtype=bool) if before is None else switch < self._switch
        rate = np.ones_like(z) if before is None else np.broadcast_to(self._switch, z.shape)
        fresh = np.clip(self._usual + self._sd * z, -1.0, 1.0)
        self._held = fresh if before is None else np.where(switched, fresh, before)
        share = np.where(eventful, LARGE_AT_EVENT, 0.0)
        room = np.maximum(1.0 - self._usual, 1e-9)
        large = branch < share
        action = np.where(large, self._usual + room * size, self._held)
        inside = np.abs(action) < 1.0
        # A held dose inside the range is an atom: beside it the densities of the other ways do not count.
        held = np.zeros_like(inside) if before is None else action == before
        by_level = (1.0 - share) * rate * _censored(action, self._usual, self._sd)
        by_size = np.where(inside & (action > self._usual), share / room, 0.0)
        moved = by_level + by_size
        kept = (1.0 - share) * (1.0 - rate)
        return action, np.where(held, np.where(inside, kept, kept + by_level), moved)


class LevelLaw:
    """How levels are chosen around what a rule proposes.

    With probability epsilon a uniformly random level replaces the rule's. Of the randomised people a quarter are
    controls, who always get the lowest level (which stands for nothing): what would have happened anyway is then
    known as well as what treatment does. The others get a level above it at a contact rate of their own, log-uniform,
    and mostly of one kind; after some time by another such habit, and so on by turns. So each kind is met alone as
    well as among others, rarely as well as often, at first as well as after others.
    """

    per_person = 6
    per_step = 1

    def __init__(self, mode: Modes, own: Floats, levels: tuple[int, ...]) -> None:
        """Draw each person's habits.

        Args:
            mode: One of the three modes, shape (N,).
            own: Uniforms, shape (N, per_person).
            levels: Number of levels of each intervention.
        """
        self._levels = levels
        self._random = mode == RANDOMISED
        self._epsilon = np.where(mode == EXPLORATORY, _between(own[:, 0], *EXPLORATORY_EPSILON), CLINICIAN_EPSILON)
        rate = np.exp(_between(own[:, [1, 3]], *np.log(CONTACT_RATE)))  # (N, 2), one column per habit
        self._rate = np.where(own[:, :1] < CONTROLS, 0.0, rate)
        self._favourite = own[:, [2, 4]]
        self._lasts = _between(own[:, 5], *HABIT_LASTS)
        self._steps = 0

    def chances(self, proposed: Floats) -> list[Floats]:
        """Return the next step's probability of each level, (N, levels) per intervention, given proposals (N, A)."""
        found, rows = [], np.arange(len(proposed))
        habit = (self._steps // self._lasts).astype(np.intp) % 2
        rate, share = self._rate[rows, habit], self._favourite[rows, habit]
        self._steps += 1
        for column, count in enumerate(self._levels):
            rule = np.arange(count) == proposed[:, column : column + 1]
            mixed = (1.0 - self._epsilon[:, None]) * rule + self._epsilon[:, None] / count
            favourite = 1 + np.minimum((share * (count - 1)).astype(np.intp), count - 2)
            kinds = (1.0 - FAVOURED) / (count - 1) + FAVOURED * (np.arange(count) == favourite[:, None])
            contact = rate[:, None] * kinds
            contact[:, 0] = 1.0 - rate
            found.append(np.where(self._random[:, None], contact, mixed))
        return found

    def draw(self, chances: list[Floats], u: Floats) -> NDArray[np.int64]:
        """Return levels (N, A) for uniforms (N, A)."""
        columns = [(np.cumsum(p, axis=1)[:, :-1] < u[:, [c]]).sum(axis=1) for c, p in enumerate(chances)]
        return np.stack(columns, axis=1)


def _between(u: Floats, low: float, high: float) -> Floats:
    return low + u * (high - low)


def _censored(x: Floats, mean: Floats, sd: Floats) -> Floats:
    """Density of a Gaussian clipped to [-1, 1]; at both ends the probability of lying there or beyond."""
    density = np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2.0 * np.pi))
    beyond = np.where(x < 0.0, ndtr((-1.0 - mean) / sd), ndtr((mean - 1.0) / sd))
    return np.asarray(np.where(np.abs(x) < 1.0, density, beyond))
