"""A world that is right where people are treated as usual, and wrong beyond."""

from __future__ import annotations

import numpy as np

from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats


class Deaf:
    """A reference on which what is given beyond a rate does nothing."""

    def __init__(self, reference: Dynamics, most: float) -> None:
        self.reference, self.most, self.noise_width = reference, most, reference.noise_width

    def __getattr__(self, name: str) -> object:
        return getattr(self.reference, name)

    def step(self, state: object, action: Floats, inputs: Floats, noise: Floats) -> tuple[object, Floats]:
        return self.reference.step(state, np.minimum(action, self.most), inputs, noise)
