"""How far are forecasts from the truth, in the benchmark's unit: per cent of the volume at which patients die?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.tumour.counterfactuals import Questions
from benchmarks.tumour.simulator import LARGEST, Floats
from twingym.evaluation.fidelity.calibration import LEVELS
from twingym.evaluation.fidelity.scores import covered, crps, rank
from twingym.twins import uniforms
from twingym.twins.noise import Stream

JUDGED, EARLY = 4_000, 3  # questions whose distribution is judged; days on which little is known of anybody

# Samples (S, R, P) of answers to questions, from S paths; a mean forecast is one path.
Sampler = Callable[[Questions, int], Floats]


def scored(questions: Questions, mean: Floats, sample: Sampler | None, paths: int) -> pd.DataFrame:
    """Score forecasts of one kind: one row per step ahead.

    Args:
        questions: R questions.
        mean: Mean forecasts, (R, P), cm^3.
        sample: Draws answers, if forecasts are distributions.
        paths: Paths for the distribution of ``JUDGED`` questions.

    Returns:
        ``tau``, ``questions``, ``rmse``; ``rmse_possible`` where the true answer is a possible volume, ``rmse_later``
        where three days or more are known; ``crps`` and ``coverage_*`` of central intervals on evenly spaced questions.
    """
    truth, first = questions.answer, 1 + questions.lead
    possible, later = (truth >= 0.0) & (truth <= LARGEST), questions.day >= EARLY
    rows = []
    for k in range(truth.shape[1]):
        squares = (100.0 * (mean[:, k] - truth[:, k]) / LARGEST) ** 2
        rows.append(
            {
                "tau": first + k,
                "questions": len(truth),
                "rmse": np.sqrt(squares.mean()),
                "rmse_possible": np.sqrt(squares[possible[:, k]].mean()),
                "rmse_later": np.sqrt(squares[later].mean()),
            }
        )
    picked = np.unique(np.linspace(0, len(truth) - 1, min(JUDGED, len(truth))).astype(np.intp))
    asked = questions.take(picked)
    drawn = sample(asked, paths).astype(np.float64) if sample else mean[None, picked]
    tie = uniforms(0, picked, 0, Stream.POLICY, 0, 1)[:, 0]
    for k, row in enumerate(rows):
        answer = asked.answer[:, k]
        if not sample:  # the score of a point is its distance
            row["crps"] = float(np.abs(100.0 * (drawn[0, :, k] - answer) / LARGEST).mean())
            continue
        row["crps"] = float(crps(100.0 * drawn[:, :, k] / LARGEST, 100.0 * answer / LARGEST).mean())
        # Whoever cannot tell sizes below the smallest apart is right to say the smallest, also of impossible answers.
        ranks = rank(drawn[:, :, k], np.clip(answer, drawn.min(), drawn.max()), tie)
        row |= {f"coverage_{100 * level:.0f}": covered(ranks, level) for level in LEVELS}
    return pd.DataFrame(rows)
