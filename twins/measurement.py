"""When is a variable measured: the chance that the next observation holds it, given what is known and done?

A simulation always draws a whole person. What is measured of it is drawn too, and only that is shown and remembered, as
in recorded courses: sicker people are measured more often, and a policy that reads a laboratory value has to do
without it on most days. The chance depends on what was measured before, not on what the value is now; where it does
(missing not at random, Rubin 1976, Biometrika 63:581) no record of measured values can tell.

Source: an observation process of its own beside that of the values, Alaa, Hu & van der Schaar 2017, "Learning from
clinical judgments: semi-Markov-modulated marked Hawkes processes for risk prognosis", ICML.

Legend of shapes: ... = any leading axes, D = modelled variables, W = intermittent ones among them, F = features of a
token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twingym.twins.errors import SpecError
from twingym.twins.spec import TwinSpec


class Measurement(nn.Module):
    """Chances of being measured, one for each intermittent variable.

    Attributes:
        columns: Which of the modelled variables are intermittent.
        variables: D.
    """

    def __init__(self, spec: TwinSpec, hidden: int, features: int) -> None:
        """Prepare for trunks that give ``hidden`` numbers, and tokens of ``features``.

        Raises:
            SpecError: If other variables are recurrent counts.
        """
        super().__init__()
        self.variables = len(spec.modelled)
        self.columns = [k for k, v in enumerate(spec.modelled) if v.intermittent]
        recurrent = [v.name for v in spec.modelled if v.recurrent]
        if recurrent:
            raise SpecError(
                f"variable {spec.modelled[self.columns[0]].name!r}: intermittent is True beside recurrent counts "
                f"({', '.join(recurrent)}), which must be counted at every step. Declare one of them otherwise."
            )
        self.write = nn.Linear(hidden + features, len(self.columns))

    def forward(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Log odds (..., W) of being measured next, from the trunk's output (..., D_model) and tokens (..., F)."""
        return self.write(torch.cat([hidden, tokens], dim=-1))  # type: ignore[no-any-return]

    def log_prob(self, hidden: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
        """Log probability (..., D) of what was measured, ``present`` (..., D); zero for what always is."""
        odds, here = self(hidden, tokens), present[..., self.columns]
        found = torch.zeros_like(present)
        found[..., self.columns] = F.logsigmoid(torch.where(here > 0, odds, -odds))
        return found

    def sample(self, hidden: Tensor, tokens: Tensor, u: Tensor) -> Tensor:
        """Draw what is measured, 1 or 0, from uniforms (..., W); returns (..., D)."""
        measured = hidden.new_ones(*hidden.shape[:-1], self.variables)
        measured[..., self.columns] = (u < torch.sigmoid(self(hidden, tokens))).to(hidden.dtype)
        return measured
