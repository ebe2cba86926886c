"""How is the next observation of a person drawn: one variable after the other, by the head the person is bound to?

Legend of shapes: B = people, M = ensemble heads, D = modelled variables, F = features of a token, P = parameters of one
variable, C = recurrent counts, A = amounts of their events.
"""

from __future__ import annotations

import torch
from torch import Tensor

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
        self._heads = heads or network.stacked()

    def sample(self, u: Tensor, people: Regulars) -> tuple[Tensor, Regulars, Expected]:
        """Draw the next observation.

        Args:
            u: Uniforms, (B, ``noise_width`` of the network).
            people: What is kept of their recurrent counts.

        Returns:
            Values on [-1, 1], (B, D), the people after the step, and what heads expected of it.
        """
        if self._network.compares or self._network.recurrent:  # of whose counts each head has beliefs of its own
            return self._by_every_head(u, people)
        own, drawn = self._own(), self._hidden.new_zeros(len(self._bound), 0)
        for k, distribution in enumerate(self._network.distributions):
            assert distribution is not None
            say = own.params(k, drawn)[:, : distribution.width]
            drawn = torch.cat([drawn, distribution.icdf(say, u[:, k], self._last[:, k])[:, None]], dim=-1)
        return drawn, people, Moment(self._hidden, self._tokens, self._last, drawn)

    def _by_every_head(self, u: Tensor, people: Regulars) -> tuple[Tensor, Regulars, Expected]:
        net, last, bound = self._network, self._last, self._bound
        every = EveryHead(net, self._hidden, self._tokens, last, self._heads)
        rows = torch.arange(len(bound), device=bound.device)
        drawn, means = self._hidden.new_zeros(len(bound), 0), {}
        occasion, (u, extra) = None, u.tensor_split([len(net.distributions)], dim=-1)
        born = torch.isnan(last).all()  # people are born together; single values may be unknown for longer
        if (table := self._heads.table) is not None:
            treated, effects = every.effects()
            factors = torch.zeros_like(people.effect).index_copy_(0, treated, table.events.factors(effects))
            occasion = Occasion(table, people, factors, net.layout.traits(self._tokens))
            stopping, settling = extra.tensor_split([len(net.recurrent)], dim=-1)
            occasion.settle(bound, settling)
        for k, distribution in enumerate(net.distributions):
            if occasion is not None and distribution is None:
                a = net.amounts.index(k)
                c = net.paid_for[a]
                count = net.counts(drawn[:, net.recurrent[c]], occasion.events.most[c])
                value, typical = occasion.amount(count, a, bound, u[:, k])
                means[k] = typical / net.spec.modelled[k].unit_change
            elif occasion is not None and k in net.recurrent and not born:
                c = net.recurrent.index(k)
                value = 2.0 * occasion.count(c, bound, u[:, k], stopping[:, c]) / occasion.events.most[c] - 1.0
            else:
                assert distribution is not None
                say = every.params(k, drawn)[..., : distribution.width]
                means[k] = distribution.mean(say, last[:, k])  # (M, B)
                value = distribution.icdf(say[bound, rows], u[:, k], last[:, k])
            drawn = torch.cat([drawn, value[:, None]], dim=-1)
        if occasion is not None:
            people, counts = occasion.after()
            means |= dict(zip(net.recurrent, counts, strict=False))  # none at birth
        by_head = torch.stack([means[k] for k in range(len(means))], dim=-1)  # (M, B, D)
        return drawn, people, Known(by_head.transpose(0, 1))

    def ranks(self, value: Tensor, present: Tensor, within: Tensor) -> Tensor:
        """Uniforms (B, D) with which :meth:`sample` would draw values (B, D) on [-1, 1].

        Only without recurrent counts. A value with a probability of its own takes a place ``within`` it, (B, D). One
        that is not ``present``, (B, D), is drawn with that uniform, and later ones are ranked given what was drawn.
        """
        own, places, value = self._own(), [], value.clone()
        for k, distribution in enumerate(self._network.distributions):
            assert distribution is not None
            say, there = own.params(k, value[:, :k])[:, : distribution.width], present[:, k] > 0
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

    def _own(self) -> OwnHead:
        return OwnHead(self._network, self._hidden, self._tokens, self._last, self._bound, self._heads)
