"""How is a batch's noise read step by step without computing it step by step?"""

from __future__ import annotations

import numpy as np

from twingym.twins.cohort import Ids, Rows
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

# Numbers computed at a time: enough to spread the cost of a call, few enough for the processor's cache.
_BLOCK = 2**16
_LONGEST = 64


class NoiseTape:
    """The uniforms that move N people, read one step at a time and computed many steps at a time.

    The numbers are those of :func:`~twingym.twins.noise.uniforms`: step 0 for birth, t + 1 for the step from
    t.
    """

    def __init__(self, seed: int, width: int, ids: Ids, episode: Ids) -> None:
        """Lay the tape for people (N,) in their episodes (N,), ``width`` numbers per step."""
        self._seed = seed
        self._width = width
        self._ids = ids.copy()
        self._episode = episode.copy()
        self._next = np.ones(len(ids), dtype=np.int64)  # step that each person reads next
        self._length = int(np.clip(_BLOCK // (len(ids) * max(width, 4)), 1, _LONGEST))
        self._ahead: Floats = np.empty((0, len(ids), width))
        self._read = 0

    def birth(self) -> Floats:
        """Return the numbers of everybody's birth, shape (N, width)."""
        return uniforms(self._seed, self._ids, self._episode, Stream.DYNAMICS, 0, self._width)

    def read(self) -> Floats:
        """Return the numbers of everybody's next step, shape (N, width)."""
        if self._read == len(self._ahead):
            self._ahead = self._draw(self._ids, self._episode, self._next, self._length)
            self._read = 0
        self._read += 1
        self._next += 1
        return np.asarray(self._ahead[self._read - 1])

    def restart(self, rows: Rows, ids: Ids, episode: Ids) -> Floats:
        """Put new people (R,) in ``rows`` and return the numbers of their birth, shape (R, width)."""
        self._ids[rows], self._episode[rows], self._next[rows] = ids, episode, 1
        left = len(self._ahead) - self._read
        drawn = self._draw(ids, episode, np.zeros(len(rows), dtype=np.int64), left + 1)
        self._ahead[self._read :, rows] = drawn[1:]
        return np.asarray(drawn[0])

    def _draw(self, ids: Ids, episode: Ids, first: Ids, steps: int) -> Floats:
        step = first + np.arange(steps)[:, None]  # (steps, N)
        return uniforms(self._seed, ids, episode, Stream.DYNAMICS, step, self._width)
