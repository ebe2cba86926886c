"""How do tokens become distributions of the next observation?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from twingym.twins.backbones import backbone
from twingym.twins.doubt_head import DoubtHead
from twingym.twins.errors import SpecError
from twingym.twins.head import Head
from twingym.twins.heads import head_for
from twingym.twins.measurement import Measurement
from twingym.twins.recalibrated_head import RecalibratedHead
from twingym.twins.recurrent import Counted, RecurrentEvents
from twingym.twins.regulars import Regulars
from twingym.twins.seen import Seen
from twingym.twins.spec import VALUE_GAIN, TwinSpec
from twingym.twins.stacked_heads import StackedHeads
from twingym.twins.tokens import TokenLayout
from twingym.twins.transformer_config import TransformerConfig

OWN_LINEAR_START = 0.03  # standard deviation of the first weights, per unit of the gain of random priors
LARGEST_EFFECT = 5.0  # on the log of a rate or an amount


class TwinNetwork(nn.Module):
    """A backbone with the declared variables around it.

    Legend of shapes: B = people, T = tokens, D = modelled variables, M = ensemble heads, P = parameters, C = recurrent
    counts, A = amounts of their events.
    """

    units: Tensor
    recalibration: Mapping[str, Sequence[float]]

    def __init__(self, spec: TwinSpec, config: TransformerConfig) -> None:
        """Build an untrained network for ``spec``."""
        super().__init__()
        self.spec, self.config = spec, config
        self.distributions: tuple[Head | None, ...]
        self.recalibrate({})
        self.layout = TokenLayout(spec)
        self.recurrent = [k for k, v in enumerate(spec.modelled) if v.recurrent]
        self.amounts = [k for k, v in enumerate(spec.modelled) if v.amount_of]
        self.counted = self.recurrent + self.amounts
        self.intermittent = [k for k, v in enumerate(spec.modelled) if v.intermittent]
        self.events = None
        if self.recurrent:
            counts, sums = ([spec.modelled[k] for k in columns] for columns in (self.recurrent, self.amounts))
            names, most = [v.name for v in counts], [v.level_count - 1 for v in counts]
            self.paid_for = [names.index(v.amount_of) for v in sums]  # which of the counts
            traits = self.layout.traits(torch.zeros(self.layout.width)).shape[-1]
            self.events = RecurrentEvents(most, traits, config.ensemble, [v.scaling for v in sums])
        # Effects, on activity and on each amount, stand behind the parameters of these variables.
        self.affected, acting = self.recurrent[:1] + self.amounts, self.layout.acting
        widths = tuple((d.width if d else 0) + acting * (k in self.affected) for k, d in enumerate(self.distributions))
        never = torch.zeros(1, len(widths))
        earlier = tuple(int(self.told(never[:, :k], k, never).shape[-1]) for k in range(len(widths)))
        self.trunk = backbone(config.backbone)(config, self.layout.width, widths, earlier, spec.window)
        # What is linear in a token is learned as such where there are counts (a rate times an effect) or amounts
        # (which add up): beyond what the norms of the trunk let pass for the few who count or are given much. So are
        # values of one visit, which tell of each other at once.
        self.wide = None
        if self.layout.counted or spec.amounts or self.intermittent:
            start = OWN_LINEAR_START * config.prior_gain if config.own_linear else 0.0
            paths = config.ensemble if config.own_linear else 1
            self.wide, self._widths = _linear_from(start, self.layout.width, paths * sum(widths)), list(widths)
            self.wide_told = nn.ModuleList(
                _linear_from(start, told, paths * width) for told, width in zip(earlier[1:], widths[1:], strict=True)
            )
        self.measurement = None
        if self.intermittent:
            self.measurement = Measurement(spec, config.width, self.layout.width)
        self.doubt: DoubtHead | None = None  # taught after the fit, if at all
        self.register_buffer("units", torch.tensor(spec.change_units), persistent=False)

    @classmethod
    def untrained(cls, spec: TwinSpec, config: TransformerConfig, seed: int = 0) -> TwinNetwork:
        """Build a network with weights drawn from ``seed``, leaving torch's global generator as it was."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(spec, config)

    def recalibrate(self, recalibration: Mapping[str, Sequence[float]]) -> None:
        """Bend the cdfs of variables by name through these knots, and of no others.

        Raises:
            SpecError: If a variable is unknown or not continuous, or knots do not rise from 0 to 1.
        """
        names = [v.name for v in self.spec.modelled]
        heads = [head_for(v) for v in self.spec.modelled]
        for name, knots in recalibration.items():
            head = heads[names.index(name)] if name in names else None
            if head is None:
                raise SpecError(f"recalibration of {name!r}; allowed: variables with a head, of {', '.join(names)}.")
            heads[names.index(name)] = RecalibratedHead(head, knots)
        self.recalibration = {name: tuple(knots) for name, knots in recalibration.items()}
        self.distributions = tuple(heads)

    def tokens(self, seen: Seen, actions: Tensor, inputs: Tensor, traits: Tensor) -> Tensor:
        """Fuse what was seen, done and taken in during one step into one token each; see :class:`TokenLayout`."""
        return self.layout.join(seen, actions, inputs, traits)

    def told(self, drawn: Tensor, k: int, last: Tensor | None = None) -> Tensor:
        """What the values just drawn, (..., k) on [-1, 1], tell about variable k, (..., E_k).

        One purchase instead of none is a small step on the scale, and matters most. Effects on recurrent counts and
        their amounts are what they are before anything was drawn. Where values may be missing (NaN), it is told which
        are there, for a record has gaps and a simulation draws all, and beside each the value of variable k itself that
        was ``last`` known, (..., D): what changes from there depends on it in another way than beside a gap.
        """
        if k in self.counted:
            return drawn[..., :0]
        parts = [drawn]
        if self.intermittent:
            assert last is not None
            seldom = [j for j in self.intermittent if j < k]
            if self.spec.modelled[k].kind == "event":
                # Nobody has a visit in the step of their death: that gaps go with it is no cause of it.
                drawn = drawn.clone()
                drawn[..., seldom] = torch.nan
            there = torch.isfinite(drawn[..., seldom]).to(drawn.dtype)
            drawn, own = drawn.nan_to_num(), last[..., k, None].nan_to_num()
            parts = [VALUE_GAIN * drawn, VALUE_GAIN * own * there, there]
        parts += self.layout.categories(drawn)
        for j in self.layout.counted:
            if j < k:
                value = drawn[..., j, None]
                parts.append((value > -1.0).to(drawn.dtype))
                if self.spec.modelled[j].kind == "count":
                    most = self.spec.modelled[j].level_count - 1
                    parts.append(torch.log1p(0.5 * (value + 1.0) * most))
        return torch.cat(parts, dim=-1)

    def recorded(self, value: Tensor, present: Tensor) -> Tensor:
        """Values (..., D) as later ones are told of them: NaN where not ``present``, if that may be."""
        return torch.where(present > 0, value, torch.nan) if self.intermittent else value

    def linear(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """What parameters of each variable get from the token (..., F) itself; () for nothing.

        Shape (..., P) for all heads, or (M, ..., P) if each has a path of its own.
        """
        if self.wide is None:
            return ()
        return self._by_head(self.wide(tokens)).split(self._widths, dim=-1)  # type: ignore[no-any-return]

    def shared(self, k: int, linear: tuple[Tensor, ...], told: Tensor) -> Tensor | float:
        """What parameters of variable k get from token and earlier variables themselves; shaped like ``linear[k]``."""
        if not linear:
            return 0.0
        return linear[k] + self._by_head(self.wide_told[k - 1](told)) if told.shape[-1] else linear[k]

    def _by_head(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, (self.config.ensemble, -1)).movedim(-2, 0) if self.config.own_linear else flat

    def _of_head(self, shared: Tensor | float, m: int) -> Tensor | float:
        return shared[m] if self.config.own_linear and isinstance(shared, Tensor) else shared

    def params_of(self, m: int, hidden: Tensor, tokens: Tensor, last: Tensor) -> Callable[[int, Tensor], Tensor]:
        """Return what head m says: from a variable's number k, and what was drawn before it, (..., k), to (..., P).

        Of records, what was drawn is what :meth:`recorded` returns.

        Args:
            m: Which of the ensemble.
            hidden: Trunk output, (..., D_model).
            tokens: What went into the trunk, (..., F).
            last: Values before, NaN where there were none, (..., D).
        """
        head, linear = self.trunk.heads[m], self.linear(tokens)
        z = head.block(hidden)  # type: ignore[operator]

        def params(k: int, drawn: Tensor) -> Tensor:
            told = self.told(drawn, k, last)
            shared = self._of_head(self.shared(k, linear, told), m)
            return head.params(z, k, told) + shared  # type: ignore[operator,no-any-return]

        return params

    def stacked(self) -> StackedHeads:
        """Return the heads as they are now, ready for many steps."""
        return StackedHeads(self.trunk.heads, self.affected, self.layout.acting, self.events)

    def log_prob(self, hidden: Tensor, tokens: Tensor, target: Tensor, present: Tensor, last: Tensor) -> Tensor:
        """Log likelihood of the next observation under every head.

        Args:
            hidden: Trunk output, (..., D_model); (B, T, D_model) of whole courses where counts are recurrent.
            tokens: What went into the trunk, (..., F).
            target: Next values on [-1, 1], (..., D).
            present: Which of them were observed, (..., D).
            last: Values before, NaN where there were none, (..., D).

        Returns:
            Shape (M, ..., D), zero where nothing was observed.
        """
        known = self.recorded(target, present)
        told = [self.told(known[..., :k], k, last) for k in range(len(self.distributions))]
        linear = self.linear(tokens)
        shared = [self.shared(k, linear, known) for k, known in enumerate(told)]
        per_head, effects, done = [], [], self.layout.done(tokens)
        for m, head in enumerate(self.trunk.heads):
            z = head.block(hidden)  # type: ignore[operator]
            terms, effects_here = [], []
            for k, distribution in enumerate(self.distributions):
                params = head.params(z, k, told[k]) + self._of_head(shared[k], m)  # type: ignore[operator]
                if k in self.affected:
                    effects_here.append(self.effect(params[..., -self.layout.acting :], done))
                if distribution is None:
                    terms.append(torch.zeros_like(target[..., k]))
                    continue
                seen = present[..., k]
                if k in self.recurrent:
                    seen = seen * torch.isnan(last[..., k])
                terms.append(
                    distribution.log_prob(params[..., : distribution.width], target[..., k], last[..., k]) * seen
                )
            per_head.append(torch.stack(terms, dim=-1))
            effects.append(effects_here)
        scores = torch.stack(per_head)
        if self.events is not None:
            by_head = torch.stack([torch.stack(each, dim=-1) for each in effects], dim=-2)  # (B, T, M, 1 + A)
            factors = self.events.factors(by_head)  # (B, T, M, C + A)
            counted = self._counted_in(target, present, last)
            of_events = self.events.log_prob(factors, counted, self.layout.traits(tokens))
            scores[..., self.counted] += of_events.movedim(-2, 0)
        return scores

    @staticmethod
    def effect(each: Tensor, done: Tensor, dim: int = -1) -> Tensor:
        """Effect on activity or an amount of what is ``done``, summed over an axis, by what ``each`` of it does."""
        return (each * done).sum(dim).clamp(-LARGEST_EFFECT, LARGEST_EFFECT)

    def _counted_in(self, value: Tensor, present: Tensor, last: Tensor) -> Counted:
        """What of recurrent counts and their amounts values (..., D) on [-1, 1] tell, and the ``last`` ones before."""
        assert self.events is not None
        present_too = present[..., self.recurrent]
        counts = self.counts(value[..., self.recurrent], value.new_tensor(self.events.most))
        paid = (counts * present_too)[..., self.paid_for] * present[..., self.amounts]
        known = present_too * ~torch.isnan(last[..., self.recurrent])
        return Counted(counts, known, paid, value[..., self.amounts])

    @staticmethod
    def counts(value: Tensor, most: Tensor | int) -> Tensor:
        """Counts (...) of values (...) on [-1, 1]."""
        return torch.round(0.5 * (value + 1.0) * most)

    @property
    def compares(self) -> bool:
        """Whether heads are compared at each step: there are several, and no other head was taught doubt."""
        return self.config.ensemble > 1 and self.doubt is None

    @property
    def noise_width(self) -> int:
        """Uniforms that a draw reads: one per variable; with recurrent counts some for what is hidden."""
        hidden = 1 + 2 * len(self.recurrent) + len(self.amounts)
        return len(self.distributions) + (hidden if self.recurrent else 0)

    def unborn(self, people: int) -> Regulars:
        """What is kept of people's recurrent counts, before they are born."""
        return Regulars.unborn(people, self.config.ensemble, len(self.recurrent), len(self.amounts))

    def correct(self, people: Regulars, value: Tensor, present: Tensor, last: Tensor, traits: Tensor) -> Regulars:
        """Return people of whom values (B, D) were recorded in the last step, where present, instead of those drawn.

        ``last`` is what was known before that step, (B, D); traits are encoded, (B, F).
        """
        if self.events is None:
            return people
        return people.corrected(self.events, self._counted_in(value, present, last), traits)


def _linear_from(start: float, features: int, width: int) -> nn.Module:
    """A linear map whose weights begin with this standard deviation."""
    if features == 0:
        return nn.Identity()
    linear = nn.Linear(features, width, bias=False)
    # Zeros must not use up random numbers: weights of other layers would begin elsewhere.
    nn.init.normal_(linear.weight, std=start) if start else nn.init.zeros_(linear.weight)
    return linear
