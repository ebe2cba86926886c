"""How is a physical amount placed on [-1, 1] from declared bounds alone, and brought back?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ScaleKind = Literal["linear", "log", "logit"]

# The logit scale reaches the bounds at this distance from 0 and 1.
LOGIT_MARGIN = 1e-3


@dataclass(frozen=True)
class Scale:
    """A monotone map from ``[low, high]`` onto ``[-1, 1]``.

    ``log`` is the shifted logarithm ``log(1 + (x - low) / knee)``: linear well below ``low + knee`` and
    logarithmic above, so that it is finite at ``low = 0``. With ``knee = low`` it is the plain logarithm.

    Attributes:
        kind: ``linear``, ``log`` or ``logit``.
        low: Lower bound, physical unit.
        high: Upper bound, physical unit.
        knee: Where the logarithm begins, physical unit above ``low``; read by ``log`` only.
    """

    kind: ScaleKind
    low: float
    high: float
    knee: float = 1.0

    def to_unit(self, amount: Floats) -> Floats:
        """Map physical amounts, any shape, to [-1, 1]; amounts beyond the bounds are clipped."""
        x = np.clip(amount, self.low, self.high)
        if self.kind == "linear":
            return np.asarray(2.0 * (x - self.low) / (self.high - self.low) - 1.0)
        if self.kind == "log":
            return np.asarray(2.0 * np.log1p((x - self.low) / self.knee) / self.log_span - 1.0)
        share = np.clip((x - self.low) / (self.high - self.low), LOGIT_MARGIN, 1.0 - LOGIT_MARGIN)
        return np.asarray(np.log(share / (1.0 - share)) / self._logit_span)

    def from_unit(self, unit: Floats) -> Floats:
        """Map [-1, 1], any shape, to physical amounts within the bounds, -1 and 1 to the bounds themselves."""
        y = np.clip(unit, -1.0, 1.0)
        if self.kind == "linear":
            return np.asarray(self.low + 0.5 * (y + 1.0) * (self.high - self.low))
        if self.kind == "log":
            return np.asarray(self.low + self.knee * np.expm1(0.5 * (y + 1.0) * self.log_span))
        share = 1.0 / (1.0 + np.exp(-y * self._logit_span))
        amount = self.low + share * (self.high - self.low)
        at_end = np.abs(y) > 1.0 - 1e-9  # the margin stands for the bound: from there on all are alike
        return np.where(at_end, np.where(y > 0.0, self.high, self.low), amount)

    @property
    def log_span(self) -> float:
        """Logarithm that the whole range spans on the ``log`` scale."""
        return float(np.log1p((self.high - self.low) / self.knee))

    @property
    def _logit_span(self) -> float:
        return float(np.log((1.0 - LOGIT_MARGIN) / LOGIT_MARGIN))
