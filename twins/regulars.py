"""How are recurrent counts drawn: each simulated person has habits, drawn once from what is believed of them.

Two policies then meet the same customer with the same luck, as on the reference. Drawing every count from the belief
instead has the same distribution, but one purchase more would make another person of the twin, and what a policy gains
would drown in that. The belief itself goes on: heads are compared by it, and a known past sharpens it, after which
habits are drawn anew.

Legend of shapes: B = people, M = ensemble heads, C = recurrent counts, A = amounts of their events, J = types.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.special import betaincinv
from torch import Tensor

from twingym.twins.quick_tally import CountTable, QuickTally
from twingym.twins.recurrent import TYPES, Belief, Counted, RecurrentEvents
from twingym.twins.tensors import Tensors

LEAST_CHANCE = 1e-12  # that an event is the last


@dataclass(frozen=True)
class Habits(Tensors):
    """What simulated people are like.

    Attributes:
        log_rate: Log events per step, (B, C).
        leaving: Chance of each event to be the last, (B, C).
        there: 1 for those who have not left, else 0, (B,).
        size: Size of their amounts, (B, A).
    """

    log_rate: Tensor
    leaving: Tensor
    there: Tensor
    size: Tensor


@dataclass(frozen=True)
class Regulars(Tensors):
    """What a simulation keeps of people whose counts are recurrent.

    Attributes:
        belief: What is held of them now.
        before: What was held before the last step.
        effect: Log factors on rates and amounts in that step, (B, M, C + A).
        habits: What they are like.
        stale: Whether habits have to be drawn anew, since something else is known now, (B,).
        shares: Of each type given the belief and being there, up to a factor, (B, M, J); nothing where stale.
    """

    belief: Belief
    before: Belief
    effect: Tensor
    habits: Habits
    stale: Tensor
    shares: Tensor

    @classmethod
    def unborn(cls, people: int, heads: int, counts: int, amounts: int = 0) -> Regulars:
        """Nothing was counted yet, and habits are still to be drawn."""
        belief, none = Belief.unborn(people, heads, counts, amounts), torch.zeros(people, counts)
        habits = Habits(none, none, torch.ones(people), torch.zeros(people, amounts))
        effect, stale = torch.zeros(people, heads, counts + amounts), torch.ones(people, dtype=torch.bool)
        return cls(belief, belief, effect, habits, stale, torch.zeros(people, heads, TYPES if counts else 0))

    def corrected(self, events: RecurrentEvents, counted: Counted, traits: Tensor) -> Regulars:
        """Return the same people if the last step had come to this instead."""
        belief = events.advance(self.before, self.effect, counted, traits)
        return replace(self, belief=belief, stale=torch.ones_like(self.stale))


class Occasion:
    """One step of simulated people; ask for their counts and amounts in declared order."""

    def __init__(self, table: CountTable, people: Regulars, effect: Tensor, traits: Tensor) -> None:
        """Begin a step; ``effect`` is (B, M, C + A), encoded traits are (B, F)."""
        self.events, self.people, self.effect, self.traits = table.events, people, effect, traits
        on_rates, self._on_amounts = self.events.split(effect)
        self._stale, shares = people.stale.nonzero()[:, 0], people.shares
        if len(self._stale):
            known = people.belief.each(lambda tensor: tensor[self._stale])
            shares = shares.index_copy(0, self._stale, self.events.types(known, traits[self._stale]).exp())
        self.tally = QuickTally(table, people.belief, shares, on_rates, traits)
        self.habits = people.habits
        self._left = torch.zeros_like(people.habits.there)
        self._paid: list[Tensor] = []
        self._values: list[Tensor] = []

    def settle(self, head: Tensor, u: Tensor) -> None:
        """Draw stale habits from what ``head`` (B,) believes, at uniforms (B, 1 + C + A)."""
        rows = self._stale
        if len(rows) == 0:
            return
        own, u = head[rows], u[rows]
        odds = self.people.belief.odds[rows, own]
        gone = torch.sigmoid(-odds)
        share = ((u[:, :1] - gone[:, None]) / torch.sigmoid(odds)[:, None]).clamp_min(0.0)
        reached = self.tally.shares[rows, own].cumsum(-1)  # (S, J)
        kind = (reached < share).sum(-1).clamp_max(reached.shape[-1] - 1)
        first, second = self.events.log_leaving[own].exp().double().unbind(-1)  # (S, C) each
        second = second + self.people.belief.counted[rows]
        to_leave, to_pay = self.events.split(u[:, 1:])
        leaving = torch.from_numpy(betaincinv(first.numpy(), second.numpy(), to_leave.double().numpy())).to(u.dtype)
        purse, amounts = self.people.belief.purse.each(lambda tensor: tensor[rows]), self.events.amounts
        size = amounts.draw_sizes(purse, self.traits[rows], own, to_pay)
        fresh = Habits(self.events.log_rates()[own, :, kind], leaving, (u[:, 0] >= gone).to(u.dtype), size)
        self.habits = Habits.join([self.habits, fresh], lambda both: both[0].index_copy(0, rows, both[1]))

    def count(self, c: int, head: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Draw counts (B,) of kind c.

        Of the uniforms, (B,) each, u is for how many there are and ``last`` for who leaves.
        """
        rows = torch.arange(len(head))
        rate = torch.exp(self.habits.log_rate[:, c] + self.effect[rows, head, c]) * self.habits.there
        count = poisson(rate, u, self.events.most[c])
        some = count.nonzero()[:, 0]
        stop = torch.log1p(-self.habits.leaving[some, c].clamp(LEAST_CHANCE, 1.0 - 1e-6).double())
        stop = torch.ceil(torch.log(last[some].double()) / stop).to(u.dtype)  # after which event they leave
        self._left[some] = torch.maximum(self._left[some], (stop <= count[some]).to(u.dtype))
        count = count.index_copy(0, some, torch.minimum(count[some], stop))
        self.tally.add(count)
        return count

    def amount(self, events: Tensor, a: int, head: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Draw what ``events`` (B,) come to, kind a, at uniforms (B,).

        Returns:
            Values (B,) on [-1, 1], and those that each head holds for typical, (M, B).
        """
        of_all, effect = self.events.amounts, self._on_amounts
        typical = of_all.typical(a, self.people.belief.purse, effect, events, self.traits)
        own = effect[torch.arange(len(head)), head, a]
        value = of_all.draw(a, head, events, self.habits.size[:, a] * own.exp(), u)
        self._paid.append(events)
        self._values.append(value)
        return value, typical.T

    def after(self) -> tuple[Regulars, Tensor]:
        """Return the people once all counts and amounts are drawn, and the counts each head expected, (C, M, B)."""
        people, there = self.people, self.habits.there * (1.0 - self._left)
        belief, shares, expected = self.tally.after()
        if self._paid:
            paid, value = torch.stack(self._paid, dim=-1), torch.stack(self._values, dim=-1)
            belief = replace(belief, purse=self.events.amounts.take_in(belief.purse, self._on_amounts, paid, value))
        habits = replace(self.habits, there=there)
        return Regulars(belief, people.belief, self.effect, habits, torch.zeros_like(people.stale), shares), expected


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
