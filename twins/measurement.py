"""When is a variable measured: the chance that the next observation holds it, given what is known and done?

What one visit measures comes together: each chance also depends on which of the variables declared before it are
measured in the same step.

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

TOGETHER_GAIN = 30.0  # of what is measured in the same step: often it is all or nothing, and a fit has to get there


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
        self.together = nn.Parameter(torch.zeros(len(self.columns), len(self.columns)))

    def forward(self, hidden: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
        """Log odds of being measured next, given which of the earlier ones are.

        Args:
            hidden: Trunk output, (..., D_model).
            tokens: What went into the trunk, (..., F).
            present: Which variables are measured, (..., D).

        Returns:
            Shape (..., W).
        """
        return self._alone(hidden, tokens) + self._signs(present[..., self.columns]) @ self._weights().T

    def log_prob(self, hidden: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
        """Log probability (..., D) of what was measured, ``present`` (..., D); zero for what always is."""
        odds, here = self(hidden, tokens, present), present[..., self.columns]
        found = torch.zeros_like(present)
        found[..., self.columns] = F.logsigmoid(torch.where(here > 0, odds, -odds))
        return found

    def sample(self, hidden: Tensor, tokens: Tensor, u: Tensor) -> Tensor:
        """Draw what is measured, 1 or 0, from uniforms (..., W); returns (..., D)."""
        alone, weights = self._alone(hidden, tokens), self._weights()
        flags = torch.zeros_like(alone)  # weights of those to come are zero
        for w in range(len(self.columns)):
            flags[..., w] = (u[..., w] < self._chance(w, alone, flags, weights)).to(flags.dtype)
        measured = hidden.new_ones(*hidden.shape[:-1], self.variables)
        measured[..., self.columns] = flags
        return measured

    def ranks(self, hidden: Tensor, tokens: Tensor, present: Tensor, within: Tensor) -> Tensor:
        """Uniforms (..., W) with which :meth:`sample` would draw ``present`` (..., D): places ``within`` (..., W)."""
        alone, weights = self._alone(hidden, tokens), self._weights()
        flags = present[..., self.columns]
        chance = torch.stack([self._chance(w, alone, flags, weights) for w in range(len(weights))], dim=-1)
        within = within.clamp(max=1.0 - 1e-6)  # on the edge a flag would fall to the other side
        return torch.where(flags > 0, within * chance, chance + within * (1.0 - chance))

    def _alone(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Log odds (..., W) before anything is known of the same step."""
        return self.write(torch.cat([hidden, tokens], dim=-1))  # type: ignore[no-any-return]

    def _weights(self) -> Tensor:
        """How measured variables change the log odds of later ones, strictly lower triangular, (W, W)."""
        return TOGETHER_GAIN * self.together.tril(-1)

    def _chance(self, w: int, alone: Tensor, flags: Tensor, weights: Tensor) -> Tensor:
        """Chance (...) that the w-th is measured, given the flags (..., W) before it; what is drawn and ranked by."""
        return torch.sigmoid(alone[..., w] + self._signs(flags) @ weights[w])

    @staticmethod
    def _signs(flags: Tensor) -> Tensor:
        return 2.0 * flags - 1.0
