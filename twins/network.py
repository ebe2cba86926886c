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
        memory = 3 * len(self._counted) + 1 if self._counted else 0
        features = 4 * len(spec.modelled) + memory + 1 + self._side_features()
        widths = tuple(d.width for d in self.distributions)
        self.trunk = CausalTransformer(config, features, widths, spec.window)
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
            spec.encode_choices(np.zeros((1, len(spec.interventions)))),
        )
        return sum(int(part.shape[-1]) for part in parts)

    def tokens(self, seen: Seen, actions: Tensor, given: Tensor, inputs: Tensor, traits: Tensor) -> Tensor:
        """Fuse what was seen, done and taken in during one step into one token each, (..., F).

        Actions and inputs are features as :class:`TwinSpec` encodes them, zero in the birth token; ``given`` is how
        often each level was delivered since birth, this step included.
        """
        parts = [
            VALUE_GAIN * seen.value,
            seen.present,
            0.3 * torch.log1p(seen.age),
            0.5 * seen.change.clamp(-CHANGE_CLIP, CHANGE_CLIP),
            *self._memory(seen),
            seen.birth[..., None],
            actions,
            torch.log1p(given),
            inputs,
            traits.expand(*actions.shape[:-1], traits.shape[-1]),
        ]
        return torch.cat(parts, dim=-1)

    def _memory(self, seen: Seen) -> list[Tensor]:
        if not self._counted:
            return []
        most = seen.total.new_tensor(self._most)
        return [
            (seen.value[..., self._counted] > -1.0).to(seen.value.dtype) * seen.present[..., self._counted],
            torch.log1p(most * seen.total[..., self._counted]),
            0.5 * torch.log1p(seen.idle[..., self._counted]),
            0.5 * torch.log1p(seen.tenure)[..., None],
        ]

    def log_prob(self, hidden: Tensor, target: Tensor, present: Tensor, last: Tensor) -> Tensor:
        """Log likelihood of the next observation under every head.

        Args:
            hidden: Trunk output, (..., D_model).
            target: Next values on [-1, 1], (..., D).
            present: Which of them were observed, (..., D).
            last: Values before, NaN where there were none, (..., D).

        Returns:
            Shape (M, ..., D), zero where nothing was observed.
        """
        per_head = []
        for head in self.trunk.heads:
            z = head.block(hidden)  # type: ignore[operator]
            terms = []
            for k, distribution in enumerate(self.distributions):
                params = head.params(z, k, target[..., :k])  # type: ignore[operator]
                terms.append(distribution.log_prob(params, target[..., k], last[..., k]) * present[..., k])
            per_head.append(torch.stack(terms, dim=-1))
        return torch.stack(per_head)

    def sample(self, hidden: Tensor, u: Tensor, last: Tensor, bound: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the next observation from the head each person is bound to.

        Args:
            hidden: Trunk output, (B, D_model).
            u: Uniforms, (B, D).
            last: Values before, NaN where there were none, (B, D).
            bound: Head of each person, (B,).

        Returns:
            Values on [-1, 1], (B, D), and the heads' disagreement in typical changes or probability, (B,).
        """
        features = [head.block(hidden) for head in self.trunk.heads]  # type: ignore[operator]
        rows = torch.arange(len(bound), device=bound.device)
        drawn = hidden.new_zeros(len(bound), 0)
        spread = hidden.new_zeros(len(bound))
        for k, distribution in enumerate(self.distributions):
            params = torch.stack(
                [h.params(z, k, drawn) for h, z in zip(self.trunk.heads, features, strict=True)]  # type: ignore[operator]
            )  # (M, B, P)
            means = distribution.mean(params, last[:, k])  # (M, B)
            spread = spread + means.var(dim=0, correction=0)
            value = distribution.icdf(params[bound, rows], u[:, k], last[:, k])
            drawn = torch.cat([drawn, value[:, None]], dim=-1)
        return drawn, spread.sqrt()
