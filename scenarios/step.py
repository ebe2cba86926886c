"""What may reward, costs and rules read about one step of a batch of people?"""

from __future__ import annotations

from dataclasses import dataclass

from twingym.twins.errors import UnknownNameError, unknown
from twingym.twins.scales import Floats


class Values(dict[str, Floats]):
    """Values by variable name, physical units, each of shape (N,); an unknown name suggests the nearest."""

    def __missing__(self, name: str) -> Floats:
        """Raise the error for a name that is not here, or not visible to this reader.

        Raises:
            UnknownNameError: Always.
        """
        error: UnknownNameError = unknown("variable", name, self, "Auditor variables are hidden from reward and costs.")
        raise error


@dataclass(frozen=True, slots=True)
class Step:
    """One step of N people, as reward, costs and bookkeeping see it.

    Attributes:
        before: Observed and derived values, traits, and the inputs in force, when the step began.
        delivered: Interventions actually given over the step, by name, physical units (level numbers if categorical).
        after: Observed and derived values and traits when the step ended (bookkeeping gets it without derived ones).
    """

    before: Values
    delivered: Values
    after: Values
