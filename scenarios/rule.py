"""What does a clinician or a marketer do without learning: a rule from named values to physical amounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from twingym.scenarios.step import Values
from twingym.twins.errors import unknown
from twingym.twins.scales import Floats

Settings = Mapping[str, float | Floats]
# From what the policy sees now, the rule's own memory and its settings to amounts by intervention name; a rule may
# replace entries of its memory.
Act = Callable[[Values, dict[str, Floats], Settings], Mapping[str, Floats]]


@dataclass(frozen=True)
class Rule:
    """A rule baseline: named observations in, physical amounts out, all in NumPy and for N people at once.

    Attributes:
        act: The rule.
        settings: Its constants, one number for everybody or one per person, shape (N,).
        grid: Values worth trying for some settings; what tuning searches.
        per_person: Whether the grid is searched for each person (on other days) before the rule is judged.
        memory: Names of numbers it remembers between steps; they begin at zero.
        units: Units of the settings that have one.
        about: One sentence with the source.
    """

    act: Act
    settings: Settings = field(default_factory=dict)
    grid: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    per_person: bool = False
    memory: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    about: str = ""

    def with_settings(self, **settings: float | Floats) -> Rule:
        """Return the same rule with other constants.

        Raises:
            UnknownNameError: If the rule has no such setting.
        """
        for name in settings:
            if name not in self.settings:
                raise unknown("rule setting", name, self.settings)
        return replace(self, settings={**self.settings, **settings})
