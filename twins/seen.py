"""What does a twin model know about a person when it makes the next token?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from twingym.twins.tensors import Tensors

KEPT = 0.9  # of what was given lately, per step
TRACES = (4.0, 12.0, 36.0)  # steps over which amounts act: soon, usual, late


@dataclass(frozen=True)
class Done(Tensors):
    """What was done in one step; any leading axes, letters as in :class:`Seen`.

    Attributes:
        levels: Which levels were delivered, (..., L).
        amounts: Amounts delivered and taken in, (..., G).
    """

    levels: Tensor
    amounts: Tensor


@dataclass(frozen=True)
class Seen(Tensors):
    """What is known of a person when a token is made; any leading axes.

    D modelled variables; L levels of all categorical interventions but the lowest ones, which stand for nothing; G
    amounts and K traces of each.

    Attributes:
        value: Last observed values on [-1, 1], zero before the first, (..., D).
        present: Whether the value was observed at this very step, (..., D).
        age: Steps since it was, (..., D).
        change: Its last change in typical changes, zero if unknown, (..., D).
        total: Sum of all its observed values since birth, each on [0, 1], and of those alone that followed each level,
            (..., D, 1 + L). What was observed under treatment tells less about the person than what was not.
        idle: Steps since it was last above its lower bound, or since birth, (..., D).
        birth: Whether this is the token before the first observation, (...).
        tenure: Steps since the first observation, (...).
        chosen: Whether the step that led to the observation was one with this level, (..., L).
        given: How often each level was delivered so far, (..., L).
        lately: The same, each time forgotten by a tenth per step, (..., L): people get used to what they are given.
        traces: Moving averages of amounts delivered and taken in, (..., G K): what was injected or eaten acts on, and
            adds up.
    """

    value: Tensor
    present: Tensor
    age: Tensor
    change: Tensor
    total: Tensor
    idle: Tensor
    birth: Tensor
    tenure: Tensor
    chosen: Tensor
    given: Tensor
    lately: Tensor
    traces: Tensor

    @classmethod
    def unborn(cls, people: int, variables: int, levels: int = 0, amounts: int = 0) -> Seen:
        """What is known before the first observation: nothing."""
        nothing, never = torch.zeros(people, variables), torch.zeros(people)
        total, none = torch.zeros(people, variables, 1 + levels), torch.zeros(people, levels)
        traces = torch.zeros(people, amounts * len(TRACES))
        return cls(
            nothing, nothing, nothing, nothing, total, nothing, torch.ones(people), never, none, none, none, traces
        )

    @property
    def last(self) -> Tensor:
        """Last observed values, NaN where there are none yet, (..., D): what heads predict changes from."""
        never = (self.birth[..., None] > 0) | (self.age > self.tenure[..., None])
        return torch.where(never, torch.nan, self.value)


def advance_seen(seen: Seen, value: Tensor, present: Tensor, units: Tensor, done: Done) -> Seen:
    """Return what is known after a step.

    Args:
        seen: What was known before.
        value: Observed values on [-1, 1], (..., D).
        present: Which of them were observed, (..., D).
        units: A typical change of each, (D,).
        done: What led to them.
    """
    chosen = done.levels
    known = torch.where(seen.birth[..., None] > 0, 0.0, present)
    change = (value - seen.value) / units * known * (seen.age == 0.0)
    there = present > 0
    share = torch.where(there, 0.5 * (value + 1.0), 0.0)[..., None]  # (..., D, 1)
    return Seen(
        value=torch.where(there, value, seen.value),
        present=present,
        age=torch.where(there, 0.0, seen.age + 1.0),
        change=change,
        total=seen.total + torch.cat([share, share * chosen[..., None, :]], dim=-1),
        idle=torch.where(there & (value > -1.0), 0.0, seen.idle + 1.0),
        birth=torch.zeros_like(seen.birth),
        tenure=torch.where(seen.birth > 0, 0.0, seen.tenure + 1.0),
        chosen=chosen,
        given=seen.given + chosen,
        lately=KEPT * seen.lately + chosen,
        traces=_traced(seen.traces, done.amounts),
    )


def _traced(traces: Tensor, amounts: Tensor) -> Tensor:
    share = 1.0 / traces.new_tensor(TRACES)
    each = traces.unflatten(-1, (amounts.shape[-1], len(TRACES)))  # (..., G, K)
    return torch.lerp(each, amounts[..., None].expand(each.shape), share.expand(each.shape)).flatten(-2)
