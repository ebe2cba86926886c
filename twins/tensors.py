"""What frozen records of tensors have in common: the same change to every tensor of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from torch import Tensor


@dataclass(frozen=True)
class Tensors:
    """A record of tensors, or of other such records, with the same leading axes."""

    @classmethod
    def join(cls, parts: Sequence[Self], how: Callable[[list[Tensor]], Tensor]) -> Self:
        """Combine the tensors of the same name by ``how``."""

        def combined(values: list[Any]) -> Any:
            first = values[0]
            return first.join(values, how) if isinstance(first, Tensors) else how(values)

        return cls(*(combined([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return the result of ``change`` on every tensor."""
        return self.join([self], lambda tensors: change(tensors[0]))
