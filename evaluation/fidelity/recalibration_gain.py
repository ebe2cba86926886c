"""What would be gained if forecasts were bent to what held true for validation people?

Where the truth falls among the futures of validation people gives a monotone map for each horizon (Kuleshov, Fenner and
Ermon 2018, ICML); test people's forecasts are bent by it. A calibrated model gains nothing, or loses a little, since
the map is learned from finitely many people. This tells whether ``FitConfig(recalibrate=True)`` in the scenario's
``fit`` is worth a try; that bends single steps, this whole horizons.
"""

from __future__ import annotations

import numpy as np

from twingym.evaluation.fidelity.ensembles import Ensembles
from twingym.evaluation.fidelity.scores import covered, rank, ties, uniform_distance
from twingym.twins.scales import Floats

INNER = np.linspace(0.05, 0.95, 19)  # levels at which the map is learned


def recalibration_gain(
    judged: Ensembles, learned: Ensembles, variable: str, levels: tuple[float, ...], seed: int
) -> dict[str, dict[str, list[float] | float]]:
    """Bend forecasts of one variable and compare them before and after.

    Args:
        judged: Forecasts for test people.
        learned: Forecasts for validation people, who give the maps.
        variable: Whose forecasts.
        levels: Of the intervals whose coverage is compared.
        seed: Of how ties are broken.

    Returns:
        Steps ahead -> ``crps``, its gain as a share, and [before, after] of ``coverage``, the largest distance from its
        level, and of ``pce``, the mean distance of ranks from uniform. People some of whose futures ended do not count;
        steps where nobody is left are left out.
    """
    found: dict[str, dict[str, list[float] | float]] = {}
    for step in judged.futures:
        (futures, truth, ranks), (*_, lessons) = (_lasting(drawn, variable, step, seed) for drawn in (judged, learned))
        if len(ranks) == 0 or len(lessons) == 0:
            continue
        knots = np.concatenate([[0.0], np.quantile(lessons, INNER), [1.0]])
        heights = np.concatenate([[0.0], INNER, [1.0]])
        bent = np.interp(ranks, knots, heights)
        size = len(futures)
        masses = np.diff(np.interp(np.arange(size + 1) / size, knots, heights))
        plain, better = (float(weighted_crps(futures, truth, w).mean()) for w in (np.full(size, 1.0 / size), masses))
        found[str(step)] = {
            "crps": 1.0 - better / plain if plain > 0.0 else 0.0,
            "coverage": [max(abs(covered(r, level) - level) for level in levels) for r in (ranks, bent)],
            "pce": [uniform_distance(r) for r in (ranks, bent)],
        }
    return found


def weighted_crps(samples: Floats, truth: Floats, masses: Floats) -> Floats:
    """CRPS (N,) of forecasts whose ordered samples (S, N) have these masses (S,); fair to their number.

    With equal masses it is :func:`~twingym.evaluation.fidelity.scores.crps`.
    """
    ordered = np.sort(samples, axis=0)
    reached = np.cumsum(masses)
    error = (masses[:, None] * np.abs(ordered - truth)).sum(axis=0)
    spread = 2.0 * ((masses * (2.0 * reached - masses - 1.0))[:, None] * ordered).sum(axis=0)
    return np.asarray(error - 0.5 * spread / (1.0 - np.square(masses).sum()))


def _lasting(drawn: Ensembles, variable: str, step: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Futures (S, N), truth (N,) and its rank (N,) of the people all of whose futures last."""
    k = drawn.names.index(variable)
    futures, truth = drawn.futures[step][..., k], drawn.truth[step][:, k]
    there = np.isfinite(truth) & np.isfinite(futures).all(axis=0)
    return futures[:, there], truth[there], rank(futures[:, there], truth[there], ties(seed, drawn.ids)[there])
