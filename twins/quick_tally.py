"""How is a step's belief kept up for many people, of whom few are counted?

Types of those who are not counted lose exp(-rate) of their share, and what has to be known of a person are a few sums
over types: one product with a table. What is left takes its own way: treatment changes rates, so that the treated have
exponentials of their own, and whoever is counted gets the whole of Bayes' rule (see
:class:`~twingym.twins.recurrent.Tally`, with which this agrees but for rounding).

Legend of shapes: B = people, M = ensemble heads, C = counts, J = types, F = traits, S = some of the people.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from twingym.twins.recurrent import Belief, RecurrentEvents, Tally

LEAST_SHARE = 1e-30  # arithmetic with still smaller, denormal numbers is slow
LEAST_TOTAL = 1e-20  # of shares that were never scaled up again: below it they are worked out anew


class QuickTally:
    """The counts of one step of simulated people as they become known one after the other, all of them known.

    Attributes:
        shares: Share of each type before the step, given that people are there, up to a factor, (B, M, J).
    """

    _totals: Tensor  # (B, M, C + 1), of what is left after each count of nobody
    _means: Tensor  # (B, M, C), expected counts times those totals

    def __init__(self, events: RecurrentEvents, belief: Belief, shares: Tensor, effect: Tensor, traits: Tensor) -> None:
        """Begin a step with what was believed before it; ``effect`` on rates is (B, M, C), traits are (B, F)."""
        self.events, self.belief, self.shares, self.traits = events, belief, shares, traits
        self.effect = effect.contiguous()
        self._counts: list[Tensor] = []
        rates = events.log_rates().exp()  # (M, C, J)
        # The share that is left after each count of nobody, and the rates of those.
        left = torch.cat([torch.zeros_like(rates[:, :1]), -rates.cumsum(1)], dim=1).exp()  # (M, C + 1, J)
        table = torch.cat([left, left[:, :-1] * rates], dim=1)  # (M, 2 C + 1, J)
        sums = torch.bmm(shares.transpose(0, 1), table.mT).transpose(0, 1)  # (B, M, 2 C + 1)
        self._left = left
        self._treated, self._own = (self.effect != 0.0).flatten(1).any(1).nonzero()[:, 0], [shares]
        if len(self._treated):
            totals, means, own = [], [], shares[self._treated]  # (S, M, J)
            self._own = [own]
            for rate, factor in zip(rates.unbind(1), self.effect[self._treated].exp().unbind(-1), strict=True):
                totals.append(own.sum(-1))
                means.append((own * rate).sum(-1))
                own = own * (rate * -factor[..., None]).exp_()
                self._own.append(own)
            of_treated = torch.stack([*totals, own.sum(-1), *means], dim=-1)
            sums = sums.index_copy(0, self._treated, of_treated)
        self._totals, self._means = sums.split([rates.shape[1] + 1, rates.shape[1]], dim=-1)

    def add(self, count: Tensor) -> None:
        """Take in the counts (B,) of the next kind."""
        self._counts.append(count)

    def mean(self, c: int) -> Tensor:
        """Expected count of kind c, of which those before it were added, under each head, (B, M)."""
        there = torch.sigmoid(self._odds(c))  # nobody leaves without an event
        mean = self._means[..., c] / self._totals[..., c] * there * self.effect[..., c].exp()
        rows = self._remarkable()
        return mean.index_copy(0, rows, self._exactly(rows).mean(c)) if len(rows) else mean

    def after(self) -> tuple[Belief, Tensor]:
        """Return what is believed once all counts are known, of amounts as before, and the shares (B, M, J) then."""
        added, before = len(self._counts), self.belief
        if added == 0:
            return before, self.shares
        odds, shares = self._odds(added), self.shares * self._left[:, added]
        if len(self._treated):
            shares.index_copy_(0, self._treated, self._own[added])
        exposure = before.exposure.clone()
        exposure[..., :added] += self.effect[..., :added].exp()
        counted = before.counted.clone()
        counted[..., :added] += torch.stack(self._counts, dim=-1)
        belief, rows = Belief(counted, exposure, odds, before.purse), self._remarkable()
        if len(rows):
            belief = replace(belief, odds=odds.index_copy(0, rows, self._exactly(rows).after().odds))
            known = belief.each(lambda tensor: tensor[rows])
            shares.index_copy_(0, rows, self.events.types(known, self.traits[rows]).exp())
        return belief, shares.clamp_min_(LEAST_SHARE)

    def _odds(self, added: int) -> Tensor:
        """Log odds (B, M) of being there for those of whom so many counts were none."""
        return self.belief.odds + (self._totals[..., added] / self._totals[..., 0]).log()

    def _remarkable(self) -> Tensor:
        """Who, (S,), was counted in this step so far, or was so unlikely not to be that sums have no digits left."""
        some = (self._totals < LEAST_TOTAL).flatten(1).any(1)
        for count in self._counts:
            some = some | (count > 0.0)
        return some.nonzero()[:, 0]

    def _exactly(self, rows: Tensor) -> Tally:
        """The same step of some people by the whole of Bayes' rule."""
        tally = Tally(self.events, self.belief.each(lambda tensor: tensor[rows]), self.effect[rows], self.traits[rows])
        for c, count in enumerate(self._counts):
            tally.add(c, count[rows], torch.ones_like(count[rows]))
        return tally
