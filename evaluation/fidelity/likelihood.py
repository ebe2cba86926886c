"""How likely does the twin model find the next thing that happened to people it never met?"""

from __future__ import annotations

import numpy as np
import torch

from twingym.evaluation.bounds import mean_of
from twingym.evaluation.fidelity.replay import record
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.gate import crop, dataset, log_prob
from twingym.twins.model import TwinModel
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

AT_ONCE = 64  # people


def likelihood(
    scenario: Scenario, plan: FidelityPlan, model: TwinModel, ids: Ids, seed: int
) -> dict[str, dict[str, list[float] | float | None]]:
    """Score every next observation of recorded courses, each given all that was recorded before it.

    Args:
        scenario: A scenario with a reference, which makes the courses.
        plan: The schedule, and history and longest horizon, which together are the length of the courses.
        model: The twin model.
        ids: Held-out people.
        seed: Of the courses.

    Returns:
        Variable -> ``nll``, the negative log likelihood in nats per value on the model's scale (mean over heads and a
        person's steps: [mean, low, high] over people), and ``naive``, that of what anybody would say: a Gaussian
        around the last value, or for levels how often each occurs; None where neither applies. What was never
        measured is left out.
    """
    spec, steps = model.spec, plan.history + max(plan.horizons.values())
    data = dataset(record(scenario, ids, seed, steps, plan).courses, spec)
    parts = []
    with torch.inference_mode():
        for rows in torch.arange(len(data)).split(AT_ONCE):
            batch = crop(data, rows, torch.zeros_like(rows), data.target.shape[1])
            parts.append(log_prob(model.network, batch).mean(dim=0).double().numpy()[:, 1:])  # (B, T, D): not birth
    scores, there = np.concatenate(parts), data.present[:, 1:].numpy() > 0.0
    values, last = data.target[:, 1:].double().numpy(), data.seen.last[:, 1:].double().numpy()
    found: dict[str, dict[str, list[float] | float | None]] = {}
    for k, variable in enumerate(spec.modelled):
        of = there[..., k]
        told = of.any(axis=1)
        if not told.any():
            continue
        mean = np.where(of, scores[..., k], 0.0).sum(axis=1)[told] / of.sum(axis=1)[told]
        known = of & np.isfinite(last[..., k])
        found[variable.name] = {
            "nll": mean_of(-mean).bounded(),
            "naive": _naive(variable, values[..., k][known], last[..., k][known]),
        }
    return found


def _naive(variable: Variable, values: Floats, last: Floats) -> float | None:
    """Nats per value without a model; all on [-1, 1], (R,) each."""
    if len(values) == 0 or variable.has_zero_atom:
        return None
    if variable.level_count or variable.kind in ("binary", "event"):
        share = np.unique(values, return_counts=True)[1] / len(values)
        return float(abs((share * np.log(share)).sum()))
    variance = np.mean((values - last) ** 2)
    return float(0.5 * np.log(2.0 * np.pi * np.e * variance)) if variance > 0.0 else None
