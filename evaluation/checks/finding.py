"""What is wrong with a scenario: what, the value, what is allowed, and the next step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        what: What was looked at.
        value: What was found, with its unit.
        allowed: What is allowed.
        next_step: What to do about it.
        fails: Whether the scenario should not be used as it is.
        check: The check that found it.
    """

    what: str
    value: str
    allowed: str
    next_step: str
    fails: bool = True
    check: str = ""

    def __str__(self) -> str:
        """Return it as a sentence or two."""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{self.what}: {self.value}{allowed}. {self.next_step}"


def of_error(what: str, error: BaseException, next_step: str = "Mend what the error names.") -> Finding:
    """Return the finding that something failed with an error."""
    return Finding(what, f"fails with {type(error).__name__}: {str(error).rstrip('.')}", "no error", next_step)
