"""What happens to a slot whose episode is over?"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal

from twingym.twins.errors import unknown

if TYPE_CHECKING:
    from gymnasium.vector import AutoresetMode
else:
    try:
        from gymnasium.vector import AutoresetMode
    except ImportError:  # gymnasium 1.0 knows only the first of these, and has no name for it

        class AutoresetMode(Enum):
            """The modes of later releases."""

            NEXT_STEP = "NextStep"
            SAME_STEP = "SameStep"
            DISABLED = "Disabled"


__all__ = ["Autoreset", "AutoresetMode", "autoreset_mode"]

Autoreset = Literal["same_step", "next_step", "disabled"]
_MODES = {mode.name.lower(): mode for mode in AutoresetMode}


def autoreset_mode(name: str | AutoresetMode) -> AutoresetMode:
    """Return Gymnasium's mode of this name.

    Raises:
        UnknownNameError: If there is none.
    """
    if isinstance(name, AutoresetMode):
        return name
    if name not in _MODES:
        raise unknown("autoreset mode", name, _MODES)
    return _MODES[name]
