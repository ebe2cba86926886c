"""How is the next observation of a person drawn: one variable after the other, by the head the person is bound to?

Legend of shapes: B = people, M = ensemble heads, D = modelled variables, F = features of a token, P = parameters of one
variable, C = recurrent counts, A = amounts of their events.
"""

from __future__ import annotations

import torch
from torch import Tensor

from twingym.twins.company import padded_rows
from twingym.twins.every_head import EveryHead
from twingym.twins.expected import Expected, Known, Moment
from twingym.twins.network import TwinNetwork
from twingym.twins.own_head import OwnHead
from twingym.twins.regulars import Occasion, Regulars
from twingym.twins.stacked_heads import StackedHeads

JUST_BELOW = 1e-4  # on [-1, 1]: the bounds of a continuous value


class Draw:
    """One step of some people."""

    def __init__(
        self,
        network: TwinNetwork,
        hidden: Tensor,
        tokens: Tensor,
        last: Tensor,
        bound: Tensor,
        heads: StackedHeads | None = None,
    ) -> None:
        """Prepare a step.

        Args:
            network: Which knows the distributions.
            hidden: Trunk output, (B, D_model).
            tokens: What went into the trunk, (B, F).
            last: Values before, NaN where there were none, (B, D).
            bound: Head of each person, (B,).
            heads: Those of the trunk, stacked once for many steps; None stacks them now.
        """
        self._network, self._hidden, self._tokens, self._last, self._bound = network, hidden, tokens, last, bound
        self._heads = heads = heads or network.stacked()
        self._means: dict[int, Tensor] = {}  # of variables, (M, B): what heads expected, as far as that is known
        self._every = EveryHead(network, hidden, tokens, last, heads) if network.compares else None
        self._own = None if network.compares else OwnHead(network, hidden, tokens, last, bound, heads)

    def sample(self, u: Tensor, people: Regulars) -> tuple[Tensor, Regulars, Expected]:
        """Draw the next observation.

        Args:
            u: Uniforms, (B, ``noise_width`` of the network).
            people: What is kept of their recurrent counts.

        Returns:
            Values on [-1, 1], (B, D), the people after the step, and what heads expected of it.
        """
        net, last, bound, drawn = self._network, self._last, self._bound, self._hidden.new_zeros(len(self._bound), 0)
        occasion, (u, extra) = None, u.tensor_split([len(net.distributions)], dim=-1)
        born = torch.isnan(last).all()  # people are born together; single values may be unknown for longer
        if (table := self._heads.table) is not None:
            occasion = Occasion(table, people, self._factors(people), net.layout.traits(self._tokens))
            stopping, settling = extra.tensor_split([len(net.recurrent)], dim=-1)
            occasion.settle(bound, settling)
        for k, distribution in enumerate(net.distributions):
            if occasion is not None and distribution is None:
                a = net.amounts.index(k)
                c = net.paid_for[a]
                count = net.counts(drawn[:, net.recurrent[c]], occasion.events.most[c])
                value, typical = occasion.amount(count, a, bound, u[:, k])
                self._means[k] = typical / net.spec.modelled[k].unit_change
            elif occasion is not None and k in net.recurrent and not born:
                c = net.recurrent.index(k)
                value = 2.0 * occasion.count(c, bound, u[:, k], stopping[:, c]) / occasion.events.most[c] - 1.0
            else:
                assert distribution is not None
                value = distribution.icdf(self._say(k, drawn), u[:, k], last[:, k])
            drawn = torch.cat([drawn, value[:, None]], dim=-1)
        if occasion is not None:
            people, counts = occasion.after()
            self._means |= dict(zip(net.recurrent, counts, strict=False))  # none at birth
        return drawn, people, self._expected(drawn)

    def _factors(self, people: Regulars) -> Tensor:
        """What is done in this step multiplies rates and amounts by, in the eyes of each head: log (B, M, C + A)."""
        none, net = torch.zeros_like(people.effect), self._network
        assert net.events is not None
        rows = padded_rows(net.layout.done(self._tokens).any(dim=-1).nonzero()[:, 0])
        if len(rows) == 0:
            return none
        if self._every is not None:
            effects = self._every.effects(rows)
        else:
            hidden, tokens, last = (each.index_select(0, rows) for each in (self._hidden, self._tokens, self._last))
            effects = EveryHead(net, hidden, tokens, last, self._heads).effects()
        return none.index_copy_(0, rows, net.events.factors(effects))

    def _say(self, k: int, drawn: Tensor) -> Tensor:
        """Parameters (B, P) of variable k by everybody's own head, given what was ``drawn`` before it, (B, k)."""
        distribution = self._network.distributions[k]
        assert distribution is not None
        if self._own is not None:
            return self._own.params(k, drawn)[:, : distribution.width]
        assert self._every is not None
        say = self._every.params(k, drawn)[..., : distribution.width]
        self._means[k] = distribution.mean(say, self._last[:, k])
        return say[self._bound, torch.arange(len(self._bound), device=self._bound.device)]

    def _expected(self, drawn: Tensor) -> Expected:
        if self._every is not None:
            means = torch.stack([self._means[k] for k in range(drawn.shape[1])], dim=-1)  # (M, B, D)
            return Known(means.transpose(0, 1))
        counted = self._hidden.new_full((len(drawn), self._heads.count, len(self._network.counted)), torch.nan)
        for place, k in enumerate(self._network.counted):
            if k in self._means:
                counted[..., place] = self._means[k].T
        return Moment(self._hidden, self._tokens, self._last, drawn, counted)

    def ranks(self, value: Tensor, present: Tensor, within: Tensor) -> Tensor:
        """Uniforms (B, D) with which :meth:`sample` would draw values (B, D) on [-1, 1].

        Only without recurrent counts. A value with a probability of its own takes a place ``within`` it, (B, D). One
        that is not ``present``, (B, D), is drawn with that uniform, and later ones are ranked given what was drawn.
        """
        places, value = [], value.clone()
        for k, distribution in enumerate(self._network.distributions):
            assert distribution is not None
            say, there = self._say(k, value[:, :k]), present[:, k] > 0
            drawn = distribution.icdf(say, within[:, k], self._last[:, k])
            now = value[:, k] = torch.where(there, value[:, k], drawn)
            upto = distribution.cdf(say, now, self._last[:, k])
            levels = self._network.spec.modelled[k].level_count
            below = distribution.cdf(say, now - (2.0 / (levels - 1) if levels else JUST_BELOW), self._last[:, k])
            below = torch.where(now <= -1.0, torch.zeros_like(below), below)
            # Levels have a probability of their own; of continuous values only the bounds do.
            massive = (now.abs() >= 1.0) | (levels > 0)
            place = torch.where(massive, below + within[:, k] * (upto - below), upto)
            places.append(torch.where(there, place, within[:, k]))
        return torch.stack(places, dim=-1)
