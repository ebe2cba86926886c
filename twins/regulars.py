"""How are recurrent counts drawn: each simulated person has habits, drawn once from what is believed of them.

Two policies then meet the same customer with the same luck, as on the reference. Drawing every count from the belief
instead has the same distribution, but one purchase more would make another person of the twin, and what a policy gains
would drown in that. The belief itself goes on: heads are compared by it, and a known past sharpens it, after which
habits are drawn anew.

Legend of shapes: B = people, M = ensemble heads, C = recurrent counts, J = types.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.special import betaincinv
from torch import Tensor

from twingym.twins.recurrent import Belief, RecurrentEvents, Tally
from twingym.twins.tensors import Tensors

LEAST_CHANCE = 1e-12  # that an event is the last


@dataclass(frozen=True)
class Habits(Tensors):
    """What simulated people are like.

    Attributes:
        log_rate: Log events per step, (B, C).
        leaving: Chance of each event to be the last, (B, C).
        there: 1 for those who have not left, else 0, (B,).
    """

    log_rate: Tensor
    leaving: Tensor
    there: Tensor


@dataclass(frozen=True)
class Regulars(Tensors):
    """What a simulation keeps of people whose counts are recurrent.

    Attributes:
        belief: What is held of them now.
        before: What was held before the last step.
        effect: Log factors on the rates in that step, (B, M, C).
        habits: What they are like.
        stale: Whether habits have to be drawn anew, since something else is known now, (B,).
    """

    belief: Belief
    before: Belief
    effect: Tensor
    habits: Habits
    stale: Tensor

    @classmethod
    def unborn(cls, people: int, heads: int, counts: int) -> Regulars:
        """Nothing was counted yet, and habits are still to be drawn."""
        belief, none = Belief.unborn(people, heads, counts), torch.zeros(people, counts)
        habits = Habits(none, none, torch.ones(people))
        return cls(belief, belief, torch.zeros(people, heads, counts), habits, torch.ones(people, dtype=torch.bool))

    def corrected(self, events: RecurrentEvents, counts: Tensor, known: Tensor, traits: Tensor) -> Regulars:
        """Return the same people if ``counts`` (B, C), where ``known`` (B, C), had come of the last step."""
        belief = events.advance(self.before, self.effect, counts, known, traits)
        return replace(self, belief=belief, stale=torch.ones_like(self.stale))


class Occasion:
    """One step of simulated people; ask for their counts in declared order."""

    def __init__(self, events: RecurrentEvents, people: Regulars, effect: Tensor, traits: Tensor) -> None:
        """Begin a step; ``effect`` is (B, M, C), encoded traits are (B, F)."""
        self.events, self.people = events, people
        self.tally = Tally(events, people.belief, effect, traits)
        self.habits = people.habits
        self._left = torch.zeros_like(people.habits.there)

    def settle(self, head: Tensor, u: Tensor) -> None:
        """Draw habits of those for whom they are stale, from the belief of ``head`` (B,), at uniforms (B, 1 + C)."""
        rows = self.people.stale.nonzero()[:, 0]
        if len(rows) == 0:
            return
        own, u = head[rows], u[rows]
        odds = self.people.belief.odds[rows, own]
        gone = torch.sigmoid(-odds)
        share = ((u[:, :1] - gone[:, None]) / torch.sigmoid(odds)[:, None]).clamp_min(0.0)
        reached = self.tally.there[rows, own].exp().cumsum(-1)  # (S, J)
        kind = (reached < share).sum(-1).clamp_max(reached.shape[-1] - 1)
        first, second = self.events.log_leaving[own].exp().double().unbind(-1)  # (S, C) each
        second = second + self.people.belief.counted[rows]
        leaving = torch.from_numpy(betaincinv(first.numpy(), second.numpy(), u[:, 1:].double().numpy())).to(u.dtype)
        fresh = Habits(self.events.log_rates()[own, :, kind], leaving, (u[:, 0] >= gone).to(u.dtype))
        self.habits = Habits.join([self.habits, fresh], lambda both: both[0].index_copy(0, rows, both[1]))

    def count(self, c: int, head: Tensor, u: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Draw counts (B,) of kind c, and return the means (M, B) of all heads too.

        Of the uniforms, (B,) each, u is for how many there are and ``last`` for who leaves.
        """
        rows, mean = torch.arange(len(head)), self.tally.mean(c)
        rate = torch.exp(self.habits.log_rate[:, c] + self.tally.effect[rows, head, c]) * self.habits.there
        count = poisson(rate, u, self.events.most[c])
        some = count.nonzero()[:, 0]
        stop = torch.log1p(-self.habits.leaving[some, c].clamp(LEAST_CHANCE, 1.0 - 1e-6).double())
        stop = torch.ceil(torch.log(last[some].double()) / stop).to(u.dtype)  # after which event they leave
        self._left[some] = torch.maximum(self._left[some], (stop <= count[some]).to(u.dtype))
        count = count.index_copy(0, some, torch.minimum(count[some], stop))
        self.tally.add(c, count, torch.ones_like(count))
        return count, mean.T

    def after(self) -> Regulars:
        """Return the people once all counts are drawn."""
        people, there = self.people, self.habits.there * (1.0 - self._left)
        return Regulars(
            self.tally.after(),
            people.belief,
            self.tally.effect,
            replace(self.habits, there=there),
            torch.zeros_like(people.stale),
        )


def poisson(mean: Tensor, u: Tensor, most: int) -> Tensor:
    """Return the Poisson counts (B,) of these means at uniforms (B,), at most ``most``."""
    count, term = torch.zeros_like(mean), torch.exp(-mean)
    some = (u > term).nonzero()[:, 0]
    mean, term, u = mean[some], term[some], u[some]
    reached = term
    for n in range(1, most + 1):
        if len(some) == 0:
            break
        count[some] = float(n)
        term = term * mean / n
        reached = reached + term
        more = u > reached
        some, mean, term, u, reached = some[more], mean[more], term[more], u[more], reached[more]
    return count
