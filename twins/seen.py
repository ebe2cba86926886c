"""What does a twin model know about a person when it makes the next token?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Seen:
    """What is known about the modelled variables when a token is made; any leading axes.

    Attributes:
        value: Last observed values on [-1, 1], zero before the first, (..., D).
        present: Whether the value was observed at this very step, (..., D).
        age: Steps since it was, (..., D).
        change: Its last change in typical changes, zero if unknown, (..., D).
        birth: Whether this is the token before the first observation, (...).
    """

    value: Tensor
    present: Tensor
    age: Tensor
    change: Tensor
    birth: Tensor

    @property
    def last(self) -> Tensor:
        """Last observed values, NaN at birth, (..., D): what heads predict changes from."""
        return torch.where(self.birth[..., None] > 0, torch.nan, self.value)


def advance_seen(seen: Seen, value: Tensor, present: Tensor, units: Tensor) -> Seen:
    """Return what is known after observing ``value`` (..., D) where ``present`` (..., D)."""
    known = torch.where(seen.birth[..., None] > 0, 0.0, present)
    change = (value - seen.value) / units * known * (seen.age == 0.0)
    return Seen(
        value=torch.where(present > 0, value, seen.value),
        present=present,
        age=torch.where(present > 0, 0.0, seen.age + 1.0),
        change=change,
        birth=torch.zeros_like(seen.birth),
    )
