"""Where does a constant of a scenario come from?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """Where a constant of the scenario comes from.

    Attributes:
        unit: Its unit.
        source: The publication, or ``assumption``.
        about: One sentence.
        moves: Whether people move by it. By prices they do not: a twin model holds whatever these are.
        licence: Under which the source gives it, if it says so; numbers themselves belong to nobody.
    """

    unit: str
    source: str
    about: str = ""
    moves: bool = True
    licence: str = ""
