"""Which errors does TwinGym raise? Each says what, the value, its unit, what is allowed and the next step."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TwinGymError(Exception):
    """Base of every error that TwinGym raises on purpose."""


class SpecError(TwinGymError, ValueError):
    """A declaration contradicts itself; the message names the field."""


class UnknownNameError(TwinGymError, KeyError):
    """A name that nobody declared; the message suggests the nearest."""

    def __str__(self) -> str:
        """Return the message unquoted (``KeyError`` would show its repr)."""
        return str(self.args[0])


class CohortError(TwinGymError, ValueError):
    """People who cannot be drawn: bad ids or an impossible condition."""


class ActionError(TwinGymError, ValueError):
    """An action of the wrong shape, not finite or out of range; the message names the intervention."""


class DynamicsError(TwinGymError, RuntimeError):
    """A dynamics returned what it may not; the message names the variable and the twin."""


class WeightsError(TwinGymError, RuntimeError):
    """A weights file that is missing, corrupt, or belongs to something else."""


class ManifestError(TwinGymError, RuntimeError):
    """Results that do not match the manifest beside them."""


class RunExistsError(TwinGymError, FileExistsError):
    """A result would be overwritten."""


def unknown(what: str, name: str, allowed: Iterable[str], hint: str = "") -> UnknownNameError:
    """Build the error for an undeclared name.

    Args:
        what: What kind of thing was asked for, such as ``"scenario"``.
        name: The name that was given.
        allowed: The names that exist.
        hint: The next step, a sentence.
    """
    names = sorted(allowed)
    near = nearest(name, names)
    guess = f" Did you mean {near!r}?" if near else ""
    return UnknownNameError(
        f"unknown {what} {name!r}.{guess} Known: {', '.join(names) or 'none'}.{' ' + hint if hint else ''}"
    )


def nearest(name: str, allowed: Iterable[str], alike: float = 0.4) -> str | None:
    """Return which of the names that exist was perhaps meant; None if none is ``alike`` enough, from 0 to 1."""
    return next(iter(get_close_matches(name, sorted(allowed), n=1, cutoff=alike)), None)
