"""Who comes back how often, and who has left for good: a belief about each person that every count sharpens.

Recurrent events come at a rate of the person's own, and any of them may be the last. Both are hidden, and what is
expected of somebody is an average over what both may be, given all that was counted: Bayes' rule, worked out here over
a grid of types of people. A network that has to learn this rule from courses is never exact, and whoever runs it freely
sums up its error; here what is expected after a step is, on average, what was expected before it, treated or not. The
transformer says by how much treatment and inputs multiply the rates of a step. What events come to is believed
likewise; see :mod:`twingym.twins.amounts`.

Sources: hidden rates and leaving after an event are those of BG/NBD (Fader, Hardie and Lee 2005, Marketing Science
24:275), with multiplied rates; rates of unknown distribution as shares of types, Heckman and Singer 1984, Econometrica
52:271; proportional effects on recurrent events, Andersen and Gill 1982, Annals of Statistics 10:1100.

Legend of shapes: ... = any leading axes, B = people, T = tokens, M = ensemble heads, C = counts, A = amounts of
their events, J = types, F = traits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twingym.twins.amounts import EventAmounts, Purse
from twingym.twins.scales import Scale
from twingym.twins.tensors import Tensors

TYPES = 48
SURELY = 12.0  # log odds of being there, for whoever has just been met
LEAST_LEAVING = 1e-6  # share of those who were counted


@dataclass(frozen=True)
class Belief(Tensors):
    """What every ensemble head holds of a person.

    Attributes:
        counted: Events since the first observation, (..., C).
        exposure: Steps since then, each weighed by the factor that multiplied the rate, (..., M, C).
        odds: Log odds that the person is still there, (..., M).
        purse: What is known of the size of their amounts.
    """

    counted: Tensor
    exposure: Tensor
    odds: Tensor
    purse: Purse

    @classmethod
    def unborn(cls, people: int, heads: int, counts: int, amounts: int = 0) -> Belief:
        """What is held of people before anything was counted."""
        nothing, odds = torch.zeros(people, counts), torch.full((people, heads), SURELY)
        return cls(nothing, torch.zeros(people, heads, counts), odds, Purse.empty(people, heads, amounts))


@dataclass(frozen=True)
class Counted(Tensors):
    """What was counted in a step, or in the steps of a course.

    Attributes:
        counts: Events, (..., C).
        known: Which of them were counted, after the first observation, (..., C).
        paid: Events, where both they and what they came to are known, else 0, (..., A).
        value: What they came to on [-1, 1], (..., A).
    """

    counts: Tensor
    known: Tensor
    paid: Tensor
    value: Tensor


class RecurrentEvents(nn.Module):
    """The distribution of a person's counts and amounts given a belief, and the belief given those.

    Effects are log factors (..., M, C + A), on rates first, then on amounts.
    """

    activity: Tensor

    def __init__(self, most: Sequence[int], traits: int, heads: int, amounts: Sequence[Scale] = ()) -> None:
        """Prepare for counts of at most ``most`` each, ``traits`` features and an ensemble of ``heads``.

        ``amounts`` are the scales of what events come to.
        """
        super().__init__()
        self.most = tuple(most)
        # About as dense in the square root of the rate as counts can tell rates apart, denser where there are few.
        self.register_buffer("activity", 4.0 * torch.log((torch.arange(TYPES) + 0.5) / TYPES), persistent=False)
        count = len(self.most)
        self.log_top = nn.Parameter(torch.log(torch.tensor(self.most) / 4.0).repeat(heads, 1))
        self.slope = nn.Parameter(torch.ones(heads, count))
        self.log_share = nn.Parameter((0.25 * self.activity).repeat(heads, 1))
        self.tilt = nn.Parameter(torch.zeros(heads, traits))
        # The chance that an event is the last is Beta between people: one in four at first.
        self.log_leaving = nn.Parameter(torch.tensor([1.0, 3.0]).log().repeat(heads, count, 1))
        self.amounts = EventAmounts(amounts, traits, heads)

    def log_rates(self) -> Tensor:
        """Log events per step of each type, (M, C, J)."""
        return self.log_top[..., None] + self.slope[..., None] * self.activity

    def factors(self, effects: Tensor) -> Tensor:
        """Log factors by effects (..., M, 1 + A): on activity, which all counts share, and on each amount."""
        return torch.cat([effects[..., :1] * self.slope, effects[..., 1:]], dim=-1)

    def split(self, effect: Tensor) -> tuple[Tensor, ...]:
        """Part what is given per count and amount (..., C + A), as log factors are, into (..., C) and (..., A)."""
        return effect.tensor_split([len(self.most)], dim=-1)

    def types(self, belief: Belief, traits: Tensor) -> Tensor:
        """Log probability of each type (..., M, J) of people with these traits (..., F), given that they are there."""
        log_rates = self.log_rates()
        # Term by term: a matrix product would round differently in batches of another size.
        tilt = (traits[..., None, :] * self.tilt).sum(-1)  # (..., M)
        born = self.log_share + tilt[..., None] * self.activity
        for c, (log_rate, rate) in enumerate(zip(log_rates.unbind(1), log_rates.exp().unbind(1), strict=True)):
            counted, exposure = belief.counted[..., c, None, None], belief.exposure[..., c, None]
            born = born + counted * log_rate - exposure * rate
        return F.log_softmax(born, dim=-1)

    def log_prob(self, effect: Tensor, counted: Counted, traits: Tensor) -> Tensor:
        """Log likelihood of whole courses from birth, each count and amount given those before it.

        Args:
            effect: Log factors, (B, T, M, C + A).
            counted: What was counted, (B, T, ...).
            traits: Encoded traits, (B, T, F).

        Returns:
            Shape (B, T, M, C + A), zero where nothing is known.
        """
        (on_rates, on_amounts), known = self.split(effect), counted.known.to(effect.dtype)
        counts = counted.counts * known
        exposure = on_rates.exp() * known[..., None, :]
        before = Belief.unborn(0, 0, 0)
        before = replace(before, counted=counts.cumsum(1) - counts, exposure=exposure.cumsum(1) - exposure)
        tally = self._tally(before, on_rates, counts, known, traits)
        # Only whether people are still there has to go from step to step.
        odds, now = [], torch.full_like(effect[:, 0, :, 0], SURELY)  # (B, M)
        for there, stays, quiet in zip(*(x.unbind(1) for x in tally.ends()), strict=True):
            odds.append(now)
            now = odds_after(now, there, stays, quiet)
        of_counts = tally.masses(torch.stack(odds, dim=1)).diff(dim=-1)
        return torch.cat([of_counts, self.amounts.log_prob(on_amounts, counted.paid, counted.value, traits)], dim=-1)

    def advance(self, belief: Belief, effect: Tensor, counted: Counted, traits: Tensor) -> Belief:
        """Return the belief after a step of ``effect`` (B, M, C + A) in which so much was counted."""
        on_rates, on_amounts = self.split(effect)
        tally = self._tally(belief, on_rates, counted.counts * counted.known, counted.known, traits)
        purse = self.amounts.take_in(belief.purse, on_amounts, counted.paid, counted.value)
        return replace(tally.after(), purse=purse)

    def _tally(self, belief: Belief, on_rates: Tensor, counts: Tensor, known: Tensor, traits: Tensor) -> Tally:
        """Take in all counts (..., C), zero where not ``known`` (..., C)."""
        tally = Tally(self, belief, on_rates, traits)
        for c in range(len(self.most)):
            tally.add(c, counts[..., c], known[..., c])
        return tally

    def told(self, c: int, effect: Tensor, counted: Tensor, count: Tensor) -> Told:
        """Return what ``count`` events of kind c in a step tell about everybody's type, and about staying.

        While somebody is there events are Poisson, and what follows the last one does not happen.

        Args:
            c: Which count.
            effect: Log factor on the rate, (..., M).
            counted: Events so far; broadcasts to ``effect``.
            count: Events of this step; broadcasts to ``effect``.
        """
        log_rate = self.log_rates()[:, c]
        mean = log_rate.exp() * effect.exp()[..., None]
        some = (count > 0).expand(effect.shape).nonzero(as_tuple=True)  # S of them
        if len(some[0]) == 0:
            return Told(mean, some, mean[some], mean[some])
        n, before = count.expand(effect.shape)[some], counted.expand(effect.shape)[some]
        staying, leaving = endings(self.log_leaving[some[-1], c], before, n)
        log_mean, few = log_rate[some[-1]] + effect[some][:, None], mean[some]  # (S, J)
        stay = n[:, None] * log_mean - few - torch.lgamma(n + 1.0)[:, None] + staying[:, None]
        last = chance_of_more(n, few).clamp_min(1e-37).log() + leaving[:, None]
        return Told(mean, some, torch.logaddexp(stay, last), stay)


@dataclass(frozen=True)
class Told:
    """What a count tells: most people are not seen in most steps, and for them one number per type says it all.

    Attributes:
        mean: Expected events, which is minus the log probability of none, (..., M, J).
        some: Where there were events: indices into (..., M), S each.
        seen: Log probability of those events, (S, J).
        stays: The same and of staying after them, (S, J).
    """

    mean: Tensor
    some: tuple[Tensor, ...]
    seen: Tensor
    stays: Tensor


class Tally:
    """The counts of one step as they become known one after the other.

    Attributes:
        there: Log mass (..., M, J) of each type and of all counts so far, given that people are there.
        stays: The same and of staying after the step; nobody leaves without an event.
    """

    def __init__(self, events: RecurrentEvents, belief: Belief, effect: Tensor, traits: Tensor) -> None:
        """Begin a step with what was believed before it; ``effect`` on rates is (..., M, C), traits are (..., F)."""
        self.events, self.belief, self.effect = events, belief, effect
        self.there = self.stays = events.types(belief, traits)
        self._share = self.there.exp()  # of each type, given all counts so far
        nothing = torch.ones_like(effect[..., 0, 0], dtype=torch.bool)
        self._sums, self._quiet = [torch.zeros_like(effect[..., 0])], [nothing]
        self._weight = torch.zeros_like(effect[..., 0, :])
        self._counts = torch.zeros_like(effect[..., 0, :])

    def add(self, c: int, count: Tensor, known: Tensor) -> None:
        """Take in ``count`` (...) of kind c, zero and nothing where ``known`` (...) is 0."""
        counted = self.belief.counted[..., c, None]
        told = self.events.told(c, self.effect[..., c], counted, (count * known)[..., None])
        unknown, mean = (known == 0.0)[..., None, None], told.mean
        if unknown.any():
            mean = mean.masked_fill(unknown, 0.0)
        there, stays = self.there - mean, self.stays
        stays = there if stays is self.there else stays - mean
        if len(told.some[0]):
            stays = stays.index_put(told.some, self.stays[told.some] + told.stays)
            there = there.index_put(told.some, self.there[told.some] + told.seen)
        self.there, self.stays = there, stays
        log_sum, self._share = _summed(there)
        self._sums.append(log_sum)
        self._quiet.append(self._quiet[-1] & (count == 0.0))
        self._counts[..., c], self._weight[..., c] = count, known

    def ends(self) -> tuple[Tensor, Tensor, Tensor]:
        """Log masses (..., M) of the whole step and of staying after it, and whether nothing was counted, (...)."""
        stays, busy = self._sums[-1], ~self._quiet[-1]
        if self.stays is not self.there:
            stays = stays.index_put((busy,), self.stays[busy].logsumexp(-1))
        return self._sums[-1], stays, self._quiet[-1]

    def masses(self, odds: Tensor) -> Tensor:
        """Log probability (..., M, 1 + C) of what is known before and after each count, with ``odds`` to be there."""
        return torch.stack([self._joined(odds, k) for k in range(len(self._sums))], dim=-1)

    def _joined(self, odds: Tensor, k: int) -> Tensor:
        gone = F.logsigmoid(-odds).masked_fill(~self._quiet[k][..., None], -torch.inf)
        return torch.logaddexp(F.logsigmoid(odds) + self._sums[k], gone)

    def mean(self, c: int) -> Tensor:
        """Expected count of kind c under each head, (B, M), as long as nobody leaves within the step."""
        odds, rate = self.belief.odds, (self._share * self.events.log_rates()[:, c].exp()).sum(-1)
        there = F.logsigmoid(odds) + self._sums[-1] - self._joined(odds, -1)  # log probability
        return rate * torch.exp(self.effect[..., c] + there)

    def after(self) -> Belief:
        """Return what is believed once all counts are known; of amounts as before."""
        exposure = self.effect.exp() * self._weight[..., None, :]
        before, odds = self.belief, odds_after(self.belief.odds, *self.ends())
        return Belief(before.counted + self._counts, before.exposure + exposure, odds, before.purse)


def endings(log_leaving: Tensor, before: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """Log chances (...) of staying after each of n events, and of leaving after the n-th but no earlier one.

    Args:
        log_leaving: What the chance that an event is the last is distributed by, log (..., 2).
        before: Events so far, (...).
        n: Events of the step, (...).
    """
    first, second = log_leaving.exp().unbind(-1)
    both, second = first + second + before, second + before
    left = torch.lgamma(both) - torch.lgamma(second) - torch.lgamma(both + n)
    return left + torch.lgamma(second + n), left + torch.lgamma(second + n - 1.0) + first.log()


def chance_of_more(n: Tensor, mean: Tensor) -> Tensor:
    """Chance of at least ``n`` (S,) events where they are Poisson of ``mean`` (..., S, J)."""
    chance, several = -torch.expm1(-mean), (n > 1.0).nonzero()[:, 0]  # of one, which is what there mostly is
    if len(several) == 0:
        return chance
    some = mean[..., several, :]
    return chance.index_copy(-2, several, torch.special.gammainc(n[several, None].expand_as(some), some))


def _summed(mass: Tensor) -> tuple[Tensor, Tensor]:
    """Log sums (...) of log masses (..., J), and the share of each; cheaper than a call for either."""
    top = mass.detach().amax(-1, keepdim=True)
    share = (mass - top).exp()
    total = share.sum(-1, keepdim=True)
    return (total.log() + top)[..., 0], share / total


def odds_after(odds: Tensor, there: Tensor, stays: Tensor, quiet: Tensor) -> Tensor:
    """Log odds (..., M) of being there after a step.

    Args:
        odds: Log odds before it, (..., M).
        there: Log mass of what was counted, given being there, (..., M).
        stays: Log mass of that and of staying, (..., M).
        quiet: Whether nothing was counted, (...): nobody leaves then, and whoever is counted was there.
    """
    leaving = there + torch.log(-torch.expm1((stays - there).clamp_max(-LEAST_LEAVING)))
    return torch.where(quiet[..., None], odds + stays, stays - leaving)
