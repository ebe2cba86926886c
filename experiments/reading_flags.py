"""How do readings reach the policies, as flags of the command line?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twingym.envs.readings import Belief, Readings
from twingym.twins.errors import SpecError


@dataclass(frozen=True)
class ReadingArgs:
    """What reaches the policies of the people they treat; by default everything, at once and without further error."""

    error: tuple[str, ...] = ()
    """Standard deviations of errors of readings, in the variable's unit, such as cgm:15; of what has levels the chance
    to read another one, such as heart_rate:0.1."""
    missing: float = 0.0
    """Share of readings that get lost."""
    gap: float | None = None
    """Mean steps that a gap between readings lasts; by default each reading is lost by itself."""
    late: int = 0
    """The most steps that a reading is late."""
    belief: Literal["last", "particles"] = "last"
    """What policies are shown: the last reading, or what a particle filter over the twin model believes."""
    particles: int = 64
    """Particles for each person."""

    def readings(self, weights: Path | None = None) -> Readings | None:
        """Return how readings reach policies; None where nothing stands between. Beliefs use the model in ``weights``.

        Raises:
            SpecError: If a number is impossible, or a belief was asked for where nothing is uncertain.
        """
        error = errors(self.error)
        asked = any(error.values()) or self.missing or self.gap is not None or self.late
        if not asked:
            if self.belief == "particles":
                raise SpecError(
                    "belief is 'particles', but readings are complete, punctual and without further error; say how "
                    "they are not, by --error, --missing or --late."
                )
            return None
        belief = Belief(self.particles, weights) if self.belief == "particles" else None
        return Readings(error, self.missing, self.gap, self.late, belief)


def errors(words: Sequence[str]) -> dict[str, float]:
    """Return errors of readings by variable, from words such as ``cgm:15``.

    Raises:
        SpecError: If a word is none.
    """
    found = {}
    for word in words:
        name, _, number = word.partition(":")
        try:
            found[name] = float(number)
        except ValueError as error:
            raise SpecError(f"error is {word!r}; allowed: variable:number, such as cgm:15.") from error
    return found
