"""What goes into a token, and where does it stand in it?

Legend of shapes: ... = any leading axes, C = counts and amounts that are often zero, L = levels of treatment, F =
features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from twingym.twins.seen import TRACES, Seen
from twingym.twins.spec import CHANGE_CLIP, VALUE_GAIN, TwinSpec

TOTAL_GAIN = 10.0  # of the sum of continuous amounts, each on [0, 1]
RATE_COUNT, RATE_STEPS = 0.5, 4.0  # of a rate so far: what was counted, and in how long, before birth
LATELY_GAIN = 0.3  # of what was given lately: people get used to it by and by
TRACE_GAIN = 0.5  # of amounts on their way


class TokenLayout:
    """Fuses what was seen, done and taken in during one step into one token.

    Attributes:
        width: F, features of a token.
        counted: Which modelled variables are often zero: how many there were, and since when there was none, says more
            than the last one.
        acting: How many features :meth:`done` returns.
    """

    def __init__(self, spec: TwinSpec) -> None:
        """Lay tokens out for ``spec``."""
        self.counted = [k for k, v in enumerate(spec.modelled) if v.kind == "count" or v.has_zero_atom]
        self._most = [float(max(spec.modelled[k].level_count - 1, TOTAL_GAIN)) for k in self.counted]
        levels = spec.choices
        memory = (5 + 2 * levels) * len(self.counted) + 2 if self.counted else 0
        ones = {v.name: np.ones(1) for v in spec.traits}
        actions = spec.encode_actions(np.zeros((1, len(spec.interventions))), ones).shape[-1]
        inputs = spec.encode_inputs(np.zeros((1, len(spec.inputs)))).shape[-1]
        self._traits = int(spec.encode_traits(ones).shape[-1])
        self._categories = [(k, len(v.levels)) for k, v in enumerate(spec.modelled) if v.kind == "categorical"]
        before = 4 * len(spec.modelled) + sum(levels for _, levels in self._categories) + memory + 1
        traces = 2 * len(TRACES) * spec.amounts
        self.width = before + int(actions) + 3 * levels + traces + int(inputs) + self._traits
        self._marks = [before + column for column in spec.choice_columns]
        self._always = bool(spec.inputs) or any(v.kind == "continuous" for v in spec.interventions)
        self.acting = levels + self._always

    def join(self, seen: Seen, actions: Tensor, inputs: Tensor, traits: Tensor) -> Tensor:
        """Return one token each, (..., F).

        Actions and inputs are features as :class:`TwinSpec` encodes them, zero in the birth token.
        """
        parts = [
            VALUE_GAIN * seen.value,
            seen.present,
            0.3 * torch.log1p(seen.age),
            0.5 * seen.change.clamp(-CHANGE_CLIP, CHANGE_CLIP),
            *self.categories(seen.value),
            *self.memory(seen),
            seen.birth[..., None],
            actions,
            seen.chosen,
            torch.log1p(seen.given),
            LATELY_GAIN * seen.lately,
            TRACE_GAIN * seen.traces,
            torch.log1p(seen.traces),
            inputs,
            traits.expand(*actions.shape[:-1], traits.shape[-1]),
        ]
        return torch.cat(parts, dim=-1)

    def categories(self, value: Tensor) -> list[Tensor]:
        """One-hot levels of the categorical variables among the first values (..., k): their order means nothing."""
        return [
            nn.functional.one_hot(((value[..., k] + 1.0) * 0.5 * (levels - 1)).round().long(), levels).to(value.dtype)
            for k, levels in self._categories
            if k < value.shape[-1]
        ]

    def memory(self, seen: Seen) -> list[Tensor]:
        """Whether there were any in the last step, totals, rates so far, steps since the last, tenure; or nothing."""
        if not self.counted:
            return []
        total = seen.total.new_tensor(self._most)[:, None] * seen.total[..., self.counted, :]  # (..., C, 1 + L)
        # Of all steps, and of those with each level alone. Without a level nothing but the person shows.
        untreated = total[..., :1] - total[..., 1:].sum(-1, keepdim=True)
        steps = torch.cat([seen.tenure[..., None], (seen.tenure - seen.given.sum(-1))[..., None], seen.given], dim=-1)
        rates = torch.log(torch.cat([total[..., :1], untreated, total[..., 1:]], dim=-1).clamp_min(0.0) + RATE_COUNT)
        rates = 0.5 * (rates - torch.log(steps.clamp_min(0.0) + RATE_STEPS)[..., None, :])  # (..., C, 2 + L)
        return [
            (seen.value[..., self.counted] > -1.0).to(seen.value.dtype) * seen.present[..., self.counted],
            torch.log1p(total).flatten(-2),
            rates.flatten(-2),
            0.5 * torch.log1p(seen.idle[..., self.counted]),
            0.5 * torch.log1p(seen.tenure)[..., None],
            (seen.tenure == 0.0).to(seen.tenure.dtype)[..., None],  # what is seen at birth is no habit
        ]

    def done(self, tokens: Tensor) -> Tensor:
        """What may act in the step of tokens (..., F): levels given; what is no level, or no treatment, always may."""
        marks = tokens[..., self._marks]
        return torch.cat([torch.ones_like(tokens[..., :1]), marks], dim=-1) if self._always else marks

    def traits(self, tokens: Tensor) -> Tensor:
        """Encoded traits in tokens (..., F)."""
        return tokens[..., -self._traits :] if self._traits else tokens[..., :0]
