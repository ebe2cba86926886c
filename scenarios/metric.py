"""What is reported of each person although nothing limits it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from twingym.scenarios.step import Step
from twingym.twins.scales import Floats


@dataclass(frozen=True)
class Metric:
    """A number per person that is reported but not constrained; it may read auditor variables.

    Attributes:
        name: Identifier.
        unit: Its unit.
        value: From a step to numbers (N,).
        how: What is made of the values of an episode: their ``mean`` or ``sum``; their ``variation``, the standard
            deviation as a share of the mean; or the number of ``spells`` in which the value is 1, see
            ``evaluation/summaries.py``.
        better: Whether ``more`` or ``less`` is wanted, or ``neither``.
        about: One sentence with the source.
        lasting: Steps that begin a spell, and as many without end it.
        per: Steps per which spells are counted; 0 for the whole episode.
    """

    name: str
    unit: str
    value: Callable[[Step], Floats]
    how: Literal["mean", "sum", "variation", "spells"] = "mean"
    better: Literal["more", "less", "neither"] = "neither"
    about: str = ""
    lasting: int = 1
    per: int = 0
