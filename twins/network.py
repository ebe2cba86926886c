"""What goes into a token, and how do hidden vectors become distributions of the next observation?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from twingym.twins.heads import Head, head_for
from twingym.twins.seen import Seen
from twingym.twins.spec import CHANGE_CLIP, VALUE_GAIN, TwinSpec
from twingym.twins.transformer import CausalTransformer, TransformerConfig

TOTAL_GAIN = 10.0  # of the sum of continuous amounts, each on [0, 1]
RATE_COUNT, RATE_STEPS = 0.5, 4.0  # of a rate so far: what was counted, and in how long, before birth


class TwinNetwork(nn.Module):
    """The transformer with the declared variables around it.

    Legend of shapes: B = people, T = tokens, D = modelled variables, M = ensemble heads, P = parameters.
    """

    units: Tensor

    def __init__(self, spec: TwinSpec, config: TransformerConfig) -> None:
        """Build an untrained network for ``spec``."""
        super().__init__()
        self.spec, self.config = spec, config
        self.distributions: tuple[Head, ...] = tuple(head_for(v) for v in spec.modelled)
        # Amounts that are often zero: how many there were, and since when there was none, says more than the last one.
        self._counted = [k for k, v in enumerate(spec.modelled) if v.kind == "count" or v.has_zero_atom]
        self._most = [float(max(spec.modelled[k].level_count - 1, TOTAL_GAIN)) for k in self._counted]
        levels = spec.choices
        memory = (5 + 2 * levels) * len(self._counted) + 2 if self._counted else 0
        features = 4 * len(spec.modelled) + memory + 1 + 3 * levels + self._side_features()
        widths = tuple(d.width for d in self.distributions)
        earlier = tuple(int(self._told(torch.zeros(1, k)).shape[-1]) for k in range(len(widths)))
        self.trunk = CausalTransformer(config, features, widths, earlier, spec.window)
        # What is linear in a token is learned as such where there are counts: a rate times an effect, beyond what the
        # norms of the trunk let pass for the few who count much.
        self.wide = None
        if self._counted:
            self.wide = _zero_linear(features, sum(widths))
            self.wide_told = nn.ModuleList(map(_zero_linear, earlier[1:], widths[1:]))
        self.register_buffer("units", torch.tensor(spec.change_units), persistent=False)

    @classmethod
    def untrained(cls, spec: TwinSpec, config: TransformerConfig, seed: int = 0) -> TwinNetwork:
        """Build a network with weights drawn from ``seed``, leaving torch's global generator as it was."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(spec, config)

    def _side_features(self) -> int:
        spec = self.spec
        ones = {v.name: np.ones(1) for v in spec.traits}
        parts = (
            spec.encode_traits(ones),
            spec.encode_inputs(np.zeros((1, len(spec.inputs)))),
            spec.encode_actions(np.zeros((1, len(spec.interventions))), ones),
        )
        return sum(int(part.shape[-1]) for part in parts)

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
            torch.log1p(seen.lately),
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

    def _told(self, drawn: Tensor) -> Tensor:
        """What the values just drawn, (..., k) on [-1, 1], tell about variable k, (..., E_k).

        One purchase instead of none is a small step on the scale, and matters most.
        """
        parts = [drawn]
        for k in self._counted:
            if k < drawn.shape[-1]:
                value = drawn[..., k, None]
                parts.append((value > -1.0).to(drawn.dtype))
                if self.spec.modelled[k].kind == "count":
                    most = self.spec.modelled[k].level_count - 1
                    parts.append(torch.log1p(0.5 * (value + 1.0) * most))
        return torch.cat(parts, dim=-1)

    def _linear(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """What every head's parameters (..., P) of each variable get from the token (..., F) itself; () for nothing."""
        if self.wide is None:
            return ()
        return self.wide(tokens).split([d.width for d in self.distributions], dim=-1)  # type: ignore[no-any-return]

    def _shared(self, k: int, linear: tuple[Tensor, ...], told: Tensor) -> Tensor | float:
        """What every head's parameters (..., P) of variable k get from token and earlier variables themselves."""
        if not linear:
            return 0.0
        return linear[k] + self.wide_told[k - 1](told) if k else linear[k]

    def log_prob(self, hidden: Tensor, tokens: Tensor, target: Tensor, present: Tensor, last: Tensor) -> Tensor:
        """Log likelihood of the next observation under every head.

        Args:
            hidden: Trunk output, (..., D_model).
            tokens: What went into the trunk, (..., F).
            target: Next values on [-1, 1], (..., D).
            present: Which of them were observed, (..., D).
            last: Values before, NaN where there were none, (..., D).

        Returns:
            Shape (M, ..., D), zero where nothing was observed.
        """
        told = [self._told(target[..., :k]) for k in range(len(self.distributions))]
        linear = self._linear(tokens)
        shared = [self._shared(k, linear, known) for k, known in enumerate(told)]
        per_head = []
        for head in self.trunk.heads:
            z = head.block(hidden)  # type: ignore[operator]
            terms = []
            for k, distribution in enumerate(self.distributions):
                params = head.params(z, k, told[k]) + shared[k]  # type: ignore[operator]
                terms.append(distribution.log_prob(params, target[..., k], last[..., k]) * present[..., k])
            per_head.append(torch.stack(terms, dim=-1))
        return torch.stack(per_head)

    def sample(self, hidden: Tensor, tokens: Tensor, u: Tensor, last: Tensor, bound: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the next observation from the head each person is bound to.

        Args:
            hidden: Trunk output, (B, D_model).
            tokens: What went into the trunk, (B, F).
            u: Uniforms, (B, D).
            last: Values before, NaN where there were none, (B, D).
            bound: Head of each person, (B,).

        Returns:
            Values on [-1, 1], (B, D), and the heads' disagreement in typical changes or probability, (B,).
        """
        features = [head.block(hidden) for head in self.trunk.heads]  # type: ignore[operator]
        rows = torch.arange(len(bound), device=bound.device)
        drawn = hidden.new_zeros(len(bound), 0)
        spread, linear = hidden.new_zeros(len(bound)), self._linear(tokens)
        for k, distribution in enumerate(self.distributions):
            told = self._told(drawn)
            shared = self._shared(k, linear, told)
            params = torch.stack(
                [h.params(z, k, told) + shared for h, z in zip(self.trunk.heads, features, strict=True)]  # type: ignore[operator]
            )  # (M, B, P)
            means = distribution.mean(params, last[:, k])  # (M, B)
            spread = spread + means.var(dim=0, correction=0)
            value = distribution.icdf(params[bound, rows], u[:, k], last[:, k])
            drawn = torch.cat([drawn, value[:, None]], dim=-1)
        return drawn, spread.sqrt()


def _zero_linear(features: int, width: int) -> nn.Linear:
    linear = nn.Linear(features, width, bias=False)
    nn.init.zeros_(linear.weight)
    return linear
