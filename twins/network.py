"""What goes into a token, and how do hidden vectors become distributions of the next observation?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from twingym.twins.heads import Head, head_for
from twingym.twins.recurrent import Counted, RecurrentEvents
from twingym.twins.regulars import Occasion, Regulars
from twingym.twins.seen import Seen
from twingym.twins.spec import CHANGE_CLIP, VALUE_GAIN, TwinSpec
from twingym.twins.transformer import CausalTransformer, TransformerConfig

TOTAL_GAIN = 10.0  # of the sum of continuous amounts, each on [0, 1]
RATE_COUNT, RATE_STEPS = 0.5, 4.0  # of a rate so far: what was counted, and in how long, before birth
LARGEST_EFFECT = 5.0  # on the log of a rate or an amount
LATELY_GAIN = 0.3  # of what was given lately: people get used to it by and by


class TwinNetwork(nn.Module):
    """The transformer with the declared variables around it.

    Legend of shapes: B = people, T = tokens, D = modelled variables, M = ensemble heads, P = parameters, C = recurrent
    counts, A = amounts of their events.
    """

    units: Tensor

    def __init__(self, spec: TwinSpec, config: TransformerConfig) -> None:
        """Build an untrained network for ``spec``."""
        super().__init__()
        self.spec, self.config = spec, config
        self.distributions: tuple[Head | None, ...] = tuple(head_for(v) for v in spec.modelled)
        # Amounts that are often zero: how many there were, and since when there was none, says more than the last one.
        self._counted = [k for k, v in enumerate(spec.modelled) if v.kind == "count" or v.has_zero_atom]
        self._most = [float(max(spec.modelled[k].level_count - 1, TOTAL_GAIN)) for k in self._counted]
        levels = spec.choices
        memory = (5 + 2 * levels) * len(self._counted) + 2 if self._counted else 0
        actions, inputs, traits = self._side_features()
        before = 4 * len(spec.modelled) + memory + 1
        features = before + actions + 3 * levels + inputs + traits
        # Treatment acts on the rates of its own step; what is not a level, or not treatment, may always act.
        self.recurrent = [k for k, v in enumerate(spec.modelled) if v.recurrent]
        self.amounts = [k for k, v in enumerate(spec.modelled) if v.amount_of]
        self._marks = [before + column for column in spec.choice_columns]
        self._always = bool(spec.inputs) or any(v.kind == "continuous" for v in spec.interventions)
        self._traits = traits
        self.events = None
        if self.recurrent:
            counts, sums = ([spec.modelled[k] for k in columns] for columns in (self.recurrent, self.amounts))
            names, most = [v.name for v in counts], [v.level_count - 1 for v in counts]
            self._paid_for = [names.index(v.amount_of) for v in sums]  # which of the counts
            self.events = RecurrentEvents(most, traits, config.ensemble, [v.scaling for v in sums])
        # On what everybody's activity, and each amount, is multiplied by: behind the parameters of these variables.
        self._affected, self._effects = self.recurrent[:1] + self.amounts, levels + self._always
        widths = tuple(
            (d.width if d else 0) + self._effects * (k in self._affected) for k, d in enumerate(self.distributions)
        )
        earlier = tuple(int(self._told(torch.zeros(1, k), k).shape[-1]) for k in range(len(widths)))
        self.trunk = CausalTransformer(config, features, widths, earlier, spec.window)
        # What is linear in a token is learned as such where there are counts: a rate times an effect, beyond what the
        # norms of the trunk let pass for the few who count much.
        self.wide = None
        if self._counted:
            self.wide, self._widths = _zero_linear(features, sum(widths)), list(widths)
            self.wide_told = nn.ModuleList(map(_zero_linear, earlier[1:], widths[1:]))
        self.register_buffer("units", torch.tensor(spec.change_units), persistent=False)

    @classmethod
    def untrained(cls, spec: TwinSpec, config: TransformerConfig, seed: int = 0) -> TwinNetwork:
        """Build a network with weights drawn from ``seed``, leaving torch's global generator as it was."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(spec, config)

    def _side_features(self) -> list[int]:
        """Features of interventions, inputs and traits."""
        spec = self.spec
        ones = {v.name: np.ones(1) for v in spec.traits}
        parts = (
            spec.encode_actions(np.zeros((1, len(spec.interventions))), ones),
            spec.encode_inputs(np.zeros((1, len(spec.inputs)))),
            spec.encode_traits(ones),
        )
        return [int(part.shape[-1]) for part in parts]

    def tokens(self, seen: Seen, actions: Tensor, inputs: Tensor, traits: Tensor) -> Tensor:
        """Fuse what was seen, done and taken in during one step into one token each, (..., F).

        Actions and inputs are features as :class:`TwinSpec` encodes them, zero in the birth token.
        """
        parts = [
            VALUE_GAIN * seen.value,
            seen.present,
            0.3 * torch.log1p(seen.age),
            0.5 * seen.change.clamp(-CHANGE_CLIP, CHANGE_CLIP),
            *self._memory(seen),
            seen.birth[..., None],
            actions,
            seen.chosen,
            torch.log1p(seen.given),
            LATELY_GAIN * seen.lately,
            inputs,
            traits.expand(*actions.shape[:-1], traits.shape[-1]),
        ]
        return torch.cat(parts, dim=-1)

    def _memory(self, seen: Seen) -> list[Tensor]:
        if not self._counted:
            return []
        total = seen.total.new_tensor(self._most)[:, None] * seen.total[..., self._counted, :]  # (..., C, 1 + L)
        # Of all steps, and of those with each level alone. Without a level nothing but the person shows.
        untreated = total[..., :1] - total[..., 1:].sum(-1, keepdim=True)
        steps = torch.cat([seen.tenure[..., None], (seen.tenure - seen.given.sum(-1))[..., None], seen.given], dim=-1)
        rates = torch.log(torch.cat([total[..., :1], untreated, total[..., 1:]], dim=-1).clamp_min(0.0) + RATE_COUNT)
        rates = 0.5 * (rates - torch.log(steps.clamp_min(0.0) + RATE_STEPS)[..., None, :])  # (..., C, 2 + L)
        return [
            (seen.value[..., self._counted] > -1.0).to(seen.value.dtype) * seen.present[..., self._counted],
            torch.log1p(total).flatten(-2),
            rates.flatten(-2),
            0.5 * torch.log1p(seen.idle[..., self._counted]),
            0.5 * torch.log1p(seen.tenure)[..., None],
            (seen.tenure == 0.0).to(seen.tenure.dtype)[..., None],  # what is seen at birth is no habit
        ]

    def _told(self, drawn: Tensor, k: int) -> Tensor:
        """What the values just drawn, (..., k) on [-1, 1], tell about variable k, (..., E_k).

        One purchase instead of none is a small step on the scale, and matters most. Effects on recurrent counts and
        their amounts are what they are before anything was drawn.
        """
        if k in self.recurrent + self.amounts:
            return drawn[..., :0]
        parts = [drawn]
        for j in self._counted:
            if j < k:
                value = drawn[..., j, None]
                parts.append((value > -1.0).to(drawn.dtype))
                if self.spec.modelled[j].kind == "count":
                    most = self.spec.modelled[j].level_count - 1
                    parts.append(torch.log1p(0.5 * (value + 1.0) * most))
        return torch.cat(parts, dim=-1)

    def _linear(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """What every head's parameters (..., P) of each variable get from the token (..., F) itself; () for nothing."""
        if self.wide is None:
            return ()
        return self.wide(tokens).split(self._widths, dim=-1)  # type: ignore[no-any-return]

    def _shared(self, k: int, linear: tuple[Tensor, ...], told: Tensor) -> Tensor | float:
        """What every head's parameters (..., P) of variable k get from token and earlier variables themselves."""
        if not linear:
            return 0.0
        return linear[k] + self.wide_told[k - 1](told) if told.shape[-1] else linear[k]

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
        told = [self._told(target[..., :k], k) for k in range(len(self.distributions))]
        linear = self._linear(tokens)
        shared = [self._shared(k, linear, known) for k, known in enumerate(told)]
        per_head, effects = [], []
        for head in self.trunk.heads:
            z = head.block(hidden)  # type: ignore[operator]
            terms, effects_here = [], []
            for k, distribution in enumerate(self.distributions):
                params = head.params(z, k, told[k]) + shared[k]  # type: ignore[operator]
                if k in self._affected:
                    effects_here.append(self._effect(params, tokens))
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
            effects += [torch.stack(effects_here, dim=-1)] if effects_here else []
        scores = torch.stack(per_head)
        if self.events is not None:
            factors = self.events.factors(torch.stack(effects, dim=-2))  # (B, T, M, C + A)
            counted = self._counted_in(target, present, last)
            of_events = self.events.log_prob(factors, counted, tokens[..., -self._traits :])
            scores[..., self.recurrent + self.amounts] += of_events.movedim(-2, 0)
        return scores

    def _effect(self, params: Tensor, tokens: Tensor) -> Tensor:
        """Effect (...), by parameters (..., P), of what tokens (..., F) say is done: on activity or an amount."""
        effects = params[..., -self._effects :]
        marks = tokens[..., self._marks]
        if self._always:
            marks = torch.cat([torch.ones_like(tokens[..., :1]), marks], dim=-1)
        return (effects * marks).sum(-1).clamp(-LARGEST_EFFECT, LARGEST_EFFECT)

    def _counted_in(self, value: Tensor, present: Tensor, last: Tensor) -> Counted:
        """What of recurrent counts and their amounts values (..., D) on [-1, 1] tell, and the ``last`` ones before."""
        assert self.events is not None
        present_too = present[..., self.recurrent]
        counts = self._round(value[..., self.recurrent], value.new_tensor(self.events.most))
        paid = (counts * present_too)[..., self._paid_for] * present[..., self.amounts]
        known = present_too * ~torch.isnan(last[..., self.recurrent])
        return Counted(counts, known, paid, value[..., self.amounts])

    @staticmethod
    def _round(value: Tensor, most: Tensor | int) -> Tensor:
        """Counts (...) of values (...) on [-1, 1]."""
        return torch.round(0.5 * (value + 1.0) * most)

    @property
    def noise_width(self) -> int:
        """Uniforms that :meth:`sample` reads: one per variable; with recurrent counts some for what is hidden."""
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

    def sample(
        self, hidden: Tensor, tokens: Tensor, u: Tensor, last: Tensor, bound: Tensor, people: Regulars
    ) -> tuple[Tensor, Tensor, Regulars]:
        """Draw the next observation from the head each person is bound to.

        Args:
            hidden: Trunk output, (B, D_model).
            tokens: What went into the trunk, (B, F).
            u: Uniforms, (B, ``noise_width``).
            last: Values before, NaN where there were none, (B, D).
            bound: Head of each person, (B,).
            people: What is kept of their recurrent counts.

        Returns:
            Values on [-1, 1], (B, D), the heads' disagreement in typical changes or probability, (B,), and the people
            after the step.
        """
        features = [head.block(hidden) for head in self.trunk.heads]  # type: ignore[operator]
        rows = torch.arange(len(bound), device=bound.device)
        drawn = hidden.new_zeros(len(bound), 0)
        spread, linear = hidden.new_zeros(len(bound)), self._linear(tokens)

        def params(k: int, told: Tensor) -> Tensor:
            shared = self._shared(k, linear, told)
            each = [h.params(z, k, told) + shared for h, z in zip(self.trunk.heads, features, strict=True)]  # type: ignore[operator]
            return torch.stack(each)  # (M, B, P)

        occasion, (u, extra) = None, u.tensor_split([len(self.distributions)], dim=-1)
        born = torch.isnan(last).any()
        if self.events is not None:
            effects = [self._effect(params(k, drawn), tokens).T for k in self._affected]  # (B, M) each
            factors = self.events.factors(torch.stack(effects, dim=-1))
            occasion = Occasion(self.events, people, factors, tokens[:, -self._traits :])
            stopping, settling = extra.tensor_split([len(self.recurrent)], dim=-1)
            occasion.settle(bound, settling)
        for k, distribution in enumerate(self.distributions):
            if occasion is not None and distribution is None:
                a = self.amounts.index(k)
                c = self._paid_for[a]
                count = self._round(drawn[:, self.recurrent[c]], occasion.events.most[c])
                value, means = occasion.amount(count, a, bound, u[:, k])
                means = means / self.spec.modelled[k].unit_change
            elif occasion is not None and k in self.recurrent and not born:
                c = self.recurrent.index(k)
                count, means = occasion.count(c, bound, u[:, k], stopping[:, c])
                value = 2.0 * count / occasion.events.most[c] - 1.0
            else:
                assert distribution is not None
                say = params(k, self._told(drawn, k))[..., : distribution.width]
                means = distribution.mean(say, last[:, k])  # (M, B)
                value = distribution.icdf(say[bound, rows], u[:, k], last[:, k])
            spread = spread + means.var(dim=0, correction=0)
            drawn = torch.cat([drawn, value[:, None]], dim=-1)
        return drawn, spread.sqrt(), occasion.after() if occasion else people


def _zero_linear(features: int, width: int) -> nn.Module:
    if features == 0:
        return nn.Identity()
    linear = nn.Linear(features, width, bias=False)
    nn.init.zeros_(linear.weight)
    return linear
