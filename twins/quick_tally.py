"""How is a step's belief kept up for many people, of whom few are counted?

Types of those who are not counted lose exp(-rate) of their share, and what has to be known of a person are a few sums
over types: one product with a table. What is left takes its own way: treatment changes rates, so that the treated have
exponentials of their own, and whoever is counted gets Bayes' rule on the shares that are carried along. Where these
have no digits left, the whole rule is worked out from the sums of a life (see :class:`~twingym.twins.recurrent.Tally`,
with which all of this agrees but for rounding).

Legend of shapes: B = people, M = ensemble heads, C = counts, J = types, F = traits, S = some of the people. Inside,
heads come first: a product per head then reads memory from one end to the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from twingym.twins.company import padded_table
from twingym.twins.recurrent import Belief, RecurrentEvents, Tally, chance_of_more, endings, odds_after

LEAST_SHARE = 1e-30  # arithmetic with still smaller, denormal numbers is slow
LEAST_TOTAL = 1e-20  # of shares that were never scaled up again: below it they are worked out anew
LEAST_CHANCE = 1e-6  # of counts: those of less may belong to a type whose share is no more than LEAST_SHARE


@dataclass(frozen=True)
class _Step:
    """What a step tells of some people: log odds (M, S) and shares (M, S, J) then, means (C, M, S).

    The ``least`` sum over types, (S,), says whether the shares had digits enough for it.
    """

    odds: Tensor
    shares: Tensor
    means: Tensor
    least: Tensor

    def put(self, rows: Tensor, others: _Step) -> None:
        """Write over some rows."""
        self.odds.index_copy_(1, rows, others.odds)
        self.shares.index_copy_(1, rows, others.shares)
        self.means.index_copy_(2, rows, others.means)


class CountTable:
    """What counts of people tell to whom nothing is done, worked out once for a fitted network.

    Attributes:
        events: Those of the network.
        log_rates: Log events per step of each type, (M, C, J).
        rates: Events per step, (M, C, J).
        left: Share of a type that is left after each count of nobody, (M, C + 1, J).
        sums: From shares to totals of what is left, and to those times the rates of the next kind, (M, >= 2 C + 1, J).
        more: Chance of at least n events, (M, C, most + 1, J).
    """

    @torch.no_grad()
    def __init__(self, events: RecurrentEvents) -> None:
        """Work out the tables of a network's events as they are."""
        self.events, self.log_rates = events, events.log_rates()
        self.rates = self.log_rates.exp()
        steps = torch.cat([torch.zeros_like(self.rates[:, :1]), -self.rates.cumsum(1)], dim=1)
        self.left = steps.exp()
        self.sums = padded_table(torch.cat([self.left, self.left[:, :-1] * self.rates], dim=1))
        n = torch.arange(1, max(events.most) + 1, dtype=self.rates.dtype, device=self.rates.device)
        some = chance_of_more(n, self.rates[:, :, None].expand(-1, -1, len(n), -1))
        self.more = torch.cat([torch.ones_like(some[:, :, :1]), some], dim=2)


class QuickTally:
    """The counts of one step of simulated people, all of them known.

    Attributes:
        shares: Share of each type before the step, given that people are there, up to a factor, (B, M, J).
    """

    def __init__(self, table: CountTable, belief: Belief, shares: Tensor, effect: Tensor, traits: Tensor) -> None:
        """Begin a step with what was believed before it; ``effect`` on rates is (B, M, C), traits are (B, F)."""
        self._table, self.belief, self.shares, self.effect, self.traits = table, belief, shares, effect, traits
        self._factor = effect.contiguous().exp()
        self._treated = (effect != 0.0).flatten(1).any(1)  # (B,): their rates are other ones
        self._counts: list[Tensor] = []

    def add(self, count: Tensor) -> None:
        """Take in the counts (B,) of the next kind."""
        self._counts.append(count)

    def after(self) -> tuple[Belief, Tensor, Tensor]:
        """Return what all counts tell.

        Returns:
            What is believed then, of amounts as before; the shares (B, M, J) then; and how many of each kind were
            expected once those of the kinds before it were counted, (C, M, B).
        """
        before, added = self.belief, len(self._counts)
        if added == 0:
            return before, self.shares, self.effect.new_zeros(0, *before.odds.T.shape)
        step = self._quiet()
        counted = torch.stack(self._counts, dim=-1)  # (B, C)
        hopeless = step.least < LEAST_TOTAL
        rows = ((counted > 0.0).any(-1) & ~hopeless).nonzero()[:, 0]
        if len(rows):
            some = self._counted(rows, counted[rows])
            step.put(rows, some)
            hopeless[rows] = some.least < LEAST_CHANCE
        rows = hopeless.nonzero()[:, 0]
        if len(rows):
            step.put(rows, self._exactly(rows))
        belief = Belief(before.counted + counted, before.exposure + self._factor, step.odds.T, before.purse)
        return belief, step.shares.clamp_min_(LEAST_SHARE).transpose(0, 1), step.means

    def _quiet(self) -> _Step:
        """The step if nobody was counted; the treated have exponentials of their own."""
        rates, shares = self._table.rates, self.shares.transpose(0, 1).contiguous()  # (M, C, J), (M, B, J)
        sums = torch.bmm(self._table.sums, shares.mT)[:, : 2 * rates.shape[1] + 1]  # (M, 2 C + 1, B)
        shares_then = shares * self._table.left[:, -1:]  # (M, B, J)
        treated = self._treated.nonzero()[:, 0]
        if len(treated):
            some, own = [], shares.index_select(1, treated)  # (M, S, J), a copy
            for rate, by in zip(rates.unbind(1), self._factor.index_select(0, treated).unbind(-1), strict=True):
                some.append(torch.stack([own.sum(-1), (own * rate[:, None]).sum(-1)]))
                own.mul_((rate[:, None] * -by.T[..., None]).exp_())
            totals, means = torch.stack(some, dim=2)  # (M, C, S) each
            sums.index_copy_(2, treated, torch.cat([totals, own.sum(-1)[:, None], means], dim=1))
            shares_then.index_copy_(1, treated, own)
        totals, means = sums.tensor_split([rates.shape[1] + 1], dim=1)
        odds = self.belief.odds.T[:, None] + (totals / totals[:, :1]).log()  # (M, C + 1, B); nobody leaves unnoticed
        expected = means / totals[:, :-1] * torch.sigmoid(odds[:, :-1]) * self._factor.permute(1, 2, 0)  # (M, C, B)
        return _Step(odds[:, -1], shares_then, expected.transpose(0, 1), totals[:, -1].amin(0))

    def _counted(self, rows: Tensor, counted: Tensor) -> _Step:
        """The step of some people (S,) of whom so many were ``counted``, (S, C)."""
        before, table = self.belief.each(lambda tensor: tensor[rows]), self._table
        treated = self._treated[rows].nonzero()[:, 0]
        effect, factor = (each[rows].transpose(0, 1)[..., None] for each in (self.effect, self._factor))  # (M, S, C, 1)
        there = stays = self.shares.transpose(0, 1)[:, rows]  # (M, S, J): of what was counted; and of staying after it
        whole, odds, means = there.sum(-1), before.odds.T, []
        noticed = torch.zeros_like(counted[:, 0], dtype=torch.bool)
        for c, n in enumerate(counted.unbind(-1)):
            log_mean, total = table.log_rates[:, None, c] + effect[:, :, c], there.sum(-1)  # (M, S, J), (M, S)
            mean = table.rates[:, None, c] * factor[:, :, c]
            present = torch.sigmoid(odds + (total / whole).log()).masked_fill(noticed, 1.0)
            means.append((there * mean).sum(-1) / total * present)
            staying, leaving = endings(table.events.log_leaving[:, c, None], before.counted[:, c], n)  # (M, S)
            none = n == 0.0  # after which nobody leaves
            staying = staying.masked_fill(none, 0.0) - torch.lgamma(n + 1.0)
            leaving = leaving.masked_fill(none, -torch.inf)
            stay = (n[:, None] * log_mean - mean + staying[..., None]).exp_()
            more = table.more[:, c, n.long()]  # (M, S, J)
            several = treated[n[treated] > 0.0]
            more[:, several] = chance_of_more(n[several], mean[:, several])
            seen = stay + more * leaving[..., None].exp()
            there, stays, noticed = there * seen, stays * stay, noticed | ~none
        chance, left = (mass.sum(-1) / whole for mass in (there, stays))  # (M, S)
        then = odds_after(before.odds, chance.log().T, left.log().T, ~noticed)  # who was not counted is not asked for
        return _Step(then.T, stays / (left * whole)[..., None], torch.stack(means), chance.amin(0))

    def _exactly(self, rows: Tensor) -> _Step:
        """The step of some people (S,) by the whole of Bayes' rule."""
        traits, before, events = self.traits[rows], self.belief.each(lambda tensor: tensor[rows]), self._table.events
        tally, means = Tally(events, before, self.effect[rows], traits), []
        for c, count in enumerate(self._counts):
            means.append(tally.mean(c).T)
            tally.add(c, count[rows], torch.ones_like(count[rows]))
        then = tally.after()
        shares = events.types(replace(then, purse=before.purse), traits).exp().transpose(0, 1)
        return _Step(then.odds.T, shares, torch.stack(means), before.odds.new_ones(len(rows)))
