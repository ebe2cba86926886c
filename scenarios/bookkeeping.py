"""What is kept count of?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twingym.scenarios.step import Step, Values
from twingym.twins.scales import Floats


@dataclass(frozen=True)
class Bookkeeping:
    """Deterministic counters of what was observed and delivered (insulin on board, weeks since the last purchase).

    Attributes:
        start: From the values at birth (without derived ones) to a memory: arrays by name, first axis N. It holds
            every derived variable; further entries are private.
        update: From the memory and the step just made (``before`` with derived values, ``after`` without) to the
            next memory. It must not change the arrays it was given.
    """

    start: Callable[[Values], dict[str, Floats]]
    update: Callable[[Mapping[str, Floats], Step], dict[str, Floats]]
