"""From which particles did those of now come, and what were they then?

Sources: Kitagawa 1996, J. Comput. Graph. Stat. 5:1 (systematic resampling, and smoothing by the particles' own pasts).

Legend of shapes: N = people, P = particles of each, V = variables, S = draws.
"""

from __future__ import annotations

import numpy as np

from twingym.twins.cohort import Rows
from twingym.twins.scales import Floats


class Ancestry:
    """What particles said at each time since birth, and which of those before each of them came from."""

    def __init__(self, particles: Floats) -> None:
        """Begin with the particles (N, P, V) of birth."""
        self._said: list[tuple[Floats, Rows | None]] = [(particles, None)]

    def add(self, particles: Floats, origin: Rows | None) -> None:
        """Take in the particles of the next time; ``origin`` (N, P) says whom they came from, None that all went on."""
        self._said.append((particles, origin))

    def forget(self, since: int) -> None:
        """Forget what was after time ``since``: it is run again."""
        del self._said[since + 1 :]

    def take(self, people: Rows) -> Ancestry:
        """Return that of some of the people, by their row numbers."""
        taken = Ancestry(self._said[0][0][people])
        for said, origin in self._said[1:]:
            taken.add(said[people], None if origin is None else origin[people])
        return taken

    def courses(self, now: Rows) -> Floats:
        """Return the courses (N, S, t + 1, V) that led to the particles ``now`` (N, S)."""
        found = []
        for said, origin in reversed(self._said):
            found.append(np.take_along_axis(said, now[..., None], axis=1))
            now = now if origin is None else np.take_along_axis(origin, now, axis=1)
        return np.stack(found[::-1], axis=2)


def systematic(weight: Floats, u: Floats, draws: int) -> Rows:
    """Draw by weights (N, P), evenly from a first point at uniforms (N, 1) on; return which, (N, ``draws``)."""
    edges, ticks = weight.cumsum(axis=1), (np.arange(draws) + u) / draws
    found = [np.searchsorted(edge / edge[-1], tick) for edge, tick in zip(edges, ticks, strict=True)]
    return np.array(found, dtype=np.intp).reshape(len(weight), draws)
