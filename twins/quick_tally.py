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


class QuickTally:
    """The counts of one step of simulated people, all of them known.

    Attributes:
        shares: Share of each type before the step, given that people are there, up to a factor, (B, M, J).
    """

    def __init__(self, events: RecurrentEvents, belief: Belief, shares: Tensor, effect: Tensor, traits: Tensor) -> None:
        """Begin a step with what was believed before it; ``effect`` on rates is (B, M, C), traits are (B, F)."""
        self.events, self.belief, self.shares, self.effect, self.traits = events, belief, shares, effect, traits
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
        factor = self.effect.contiguous().exp()
        step = self._quiet(factor)
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
        belief = Belief(before.counted + counted, before.exposure + factor, step.odds.T, before.purse)
        return belief, step.shares.clamp_min_(LEAST_SHARE).transpose(0, 1), step.means

    def _quiet(self, factor: Tensor) -> _Step:
        """The step if nobody was counted; the treated have rates of their own, by a ``factor`` (B, M, C)."""
        rates, shares = self.events.log_rates().exp(), self.shares.transpose(0, 1).contiguous()  # (M, C, J), (M, B, J)
        # The share that is left after each count of nobody, and the rates of those.
        left = torch.cat([torch.zeros_like(rates[:, :1]), -rates.cumsum(1)], dim=1).exp()  # (M, C + 1, J)
        table = torch.cat([left, left[:, :-1] * rates], dim=1)  # (M, 2 C + 1, J)
        sums = torch.bmm(padded_table(table), shares.mT)[:, : table.shape[1]]  # (M, 2 C + 1, B)
        shares_then = shares * left[:, -1:]  # (M, B, J)
        treated = (self.effect != 0.0).flatten(1).any(1).nonzero()[:, 0]
        if len(treated):
            some, own = [], shares[:, treated]  # (M, S, J)
            for rate, by in zip(rates.unbind(1), factor[treated].unbind(-1), strict=True):
                some.append(torch.stack([own.sum(-1), (own * rate[:, None]).sum(-1)]))
                own = own * (rate[:, None] * -by.T[..., None]).exp_()
            totals, means = torch.stack(some, dim=2)  # (M, C, S) each
            sums.index_copy_(2, treated, torch.cat([totals, own.sum(-1)[:, None], means], dim=1))
            shares_then.index_copy_(1, treated, own)
        totals, means = sums.tensor_split([rates.shape[1] + 1], dim=1)
        odds = self.belief.odds.T[:, None] + (totals / totals[:, :1]).log()  # (M, C + 1, B); nobody leaves unnoticed
        expected = means / totals[:, :-1] * torch.sigmoid(odds[:, :-1]) * factor.permute(1, 2, 0)  # (M, C, B)
        return _Step(odds[:, -1], shares_then, expected.transpose(0, 1), totals[:, -1].amin(0))

    def _counted(self, rows: Tensor, counted: Tensor) -> _Step:
        """The step of some people (S,) of whom so many were ``counted``, (S, C)."""
        before, log_rates = self.belief.each(lambda tensor: tensor[rows]), self.events.log_rates()[:, None]
        effect = self.effect[rows].transpose(0, 1)[..., None]  # (M, S, C, 1)
        there = stays = self.shares.transpose(0, 1)[:, rows]  # (M, S, J): of what was counted; and of staying after it
        whole, odds, means = there.sum(-1), before.odds.T, []
        noticed = torch.zeros_like(counted[:, 0], dtype=torch.bool)
        for c, n in enumerate(counted.unbind(-1)):
            log_mean = log_rates[:, :, c] + effect[:, :, c]  # (M, S, J)
            mean, total = log_rates[:, :, c].exp() * effect[:, :, c].exp(), there.sum(-1)  # cheaper than of their sum
            present = torch.sigmoid(odds + (total / whole).log()).masked_fill(noticed, 1.0)
            means.append((there * mean).sum(-1) / total * present)
            staying, leaving = endings(self.events.log_leaving[:, c, None], before.counted[:, c], n)  # (M, S)
            staying, some = staying.masked_fill(n == 0.0, 0.0), n.nonzero()[:, 0]
            stay = (n[:, None] * log_mean - mean + (staying - torch.lgamma(n + 1.0))[..., None]).exp_()
            last = chance_of_more(n[some], mean[:, some]) * leaving[:, some, None].exp()
            there, stays = there * stay.index_add(1, some, last), stays * stay
            noticed = noticed | (n > 0.0)
        chance, left = (mass.sum(-1) / whole for mass in (there, stays))  # (M, S)
        then = odds_after(before.odds, chance.log().T, left.log().T, ~noticed)  # who was not counted is not asked for
        return _Step(then.T, stays / (left * whole)[..., None], torch.stack(means), chance.amin(0))

    def _exactly(self, rows: Tensor) -> _Step:
        """The step of some people (S,) by the whole of Bayes' rule."""
        traits, before = self.traits[rows], self.belief.each(lambda tensor: tensor[rows])
        tally, means = Tally(self.events, before, self.effect[rows], traits), []
        for c, count in enumerate(self._counts):
            means.append(tally.mean(c).T)
            tally.add(c, count[rows], torch.ones_like(count[rows]))
        then = tally.after()
        shares = self.events.types(replace(then, purse=before.purse), traits).exp().transpose(0, 1)
        return _Step(then.odds.T, shares, torch.stack(means), before.odds.new_ones(len(rows)))
