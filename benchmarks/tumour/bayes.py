"""How well could anybody forecast who knows the equations and how people differ, but not this person's parameters?

Given treatment, growth is linear in (alpha, rho, kill) with Gaussian noise, so what is known of them after some days is
a Gaussian, truncated as the population is. Its mean over future volumes is the best possible forecast in squared error;
no fitted model can be better but by luck.

Legend of shapes: N = patients, T = days, R = questions, S = draws of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, qmc

from benchmarks.tumour.counterfactuals import Questions
from benchmarks.tumour.simulator import (
    ALPHA_OVER_BETA,
    BETTER,
    CAPACITY,
    CHEMO_DOSE,
    CHEMO_LEFT,
    KILL_MEAN,
    KILL_SD,
    LARGEST,
    NOISE,
    RADIO_DOSE,
    SENSITIVITY_CORRELATION,
    SENSITIVITY_MEAN,
    SENSITIVITY_SD,
    Floats,
    Recorded,
)

DRAWS = 128
AT_ONCE = 4096
RADIO_EFFECT = RADIO_DOSE + RADIO_DOSE**2 / ALPHA_OVER_BETA  # times alpha


@dataclass(frozen=True)
class Posterior:
    """What is known of (alpha, rho, kill) before each day's treatment, but for the truncation.

    Attributes:
        mean: Shape (N, T, 3).
        covariance: Shape (N, T, 3, 3).
        least: Smallest possible alpha, (N,).
    """

    mean: Floats
    covariance: Floats
    least: Floats


def posterior(history: Recorded) -> Posterior:
    """Condition the population on what was recorded of each patient before each day."""
    n, days = history.size.shape
    size = np.where(np.arange(days) <= history.steps[:, None], history.size, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = size[:, 1:] / size[:, :-1] - 1.0  # (N, T - 1)
        log = np.log(CAPACITY / size[:, :-1])
    x = np.stack([-RADIO_EFFECT * history.radio[:, :-1], log, -history.drug[:, :-1]], axis=-1)
    # The last volume may be one that was cut off; nobody is asked about after it.
    known = np.isfinite(grown) & np.isfinite(log) & (np.arange(1, days) < history.steps[:, None])
    x, grown = np.where(known[..., None], x, 0.0), np.where(known, grown, 0.0)
    least = SENSITIVITY_MEAN[0] * np.where(history.kind == 1, BETTER, 0.0)
    prior = np.stack(
        [
            SENSITIVITY_MEAN[0] + least,
            np.full(n, SENSITIVITY_MEAN[1]),
            KILL_MEAN * (1.0 + np.where(history.kind == 3, BETTER, 0.0)),
        ],
        axis=-1,
    )
    sd = np.array([*SENSITIVITY_SD, KILL_SD])
    correlation = np.eye(3)
    correlation[0, 1] = correlation[1, 0] = SENSITIVITY_CORRELATION
    precision = np.linalg.inv(np.outer(sd, sd) * correlation)
    seen = np.cumsum(x[..., :, None] * x[..., None, :], axis=1) / NOISE**2
    told = np.cumsum(x * grown[..., None], axis=1) / NOISE**2
    seen = np.concatenate([np.zeros((n, 1, 3, 3)), seen], axis=1) + precision
    told = np.concatenate([np.zeros((n, 1, 3)), told], axis=1) + (prior @ precision)[:, None]
    covariance = np.linalg.inv(seen)
    return Posterior((covariance @ told[..., None])[..., 0], covariance, least)


def forecast(questions: Questions, draws: int = DRAWS) -> Floats:
    """Return the mean volume on the day after each of the plan's, (R, P), cm^3."""
    known, history, doses = posterior(questions.history), questions.history, questions.doses
    points = qmc.Sobol(3, rng=1).random(draws).T[:, None]  # (3, 1, S)
    found = np.empty(questions.answer.shape)
    for rows in np.array_split(np.arange(len(questions)), -(-len(questions) // AT_ONCE)):
        who, day = questions.patient[rows], questions.day[rows]
        (alpha, rho, kill), weight = _draw(known, who, day, points)
        size = history.size[who, day][:, None]
        drug = np.where(day > 0, history.drug[who, day - 1], 0.0)[:, None]
        for k in range(doses.shape[1]):
            drug = CHEMO_LEFT * drug + CHEMO_DOSE * doses[rows, k, :1]
            with np.errstate(divide="ignore", invalid="ignore"):
                grown = 1.0 + rho * np.log(CAPACITY / size) - kill * drug - alpha * RADIO_EFFECT * doses[rows, k, 1:]
                size = np.nan_to_num(size * grown)
            if k < questions.lead:
                size = np.clip(size, 0.0, LARGEST)  # what did happen is within the possible
            else:
                found[rows, k - questions.lead] = (weight * size).sum(axis=1)
                size = np.maximum(size, 0.0)
    return found


def _draw(known: Posterior, who: Floats, day: Floats, points: Floats) -> tuple[list[Floats], Floats]:
    """Draw parameters, each (R, S), and their weights, which sum to one: alpha, then rho given it, then kill."""
    mean, cov = known.mean[who, day], known.covariance[who, day]
    m, sd = mean[:, :1], np.sqrt(cov[:, 0, 0])[:, None]
    alpha = _above(known.least[who][:, None], m, sd, points[0])
    slope = (cov[:, 0, 1] / cov[:, 0, 0])[:, None]
    sd_rho = np.sqrt(np.maximum(cov[:, 1, 1] - cov[:, 0, 1] ** 2 / cov[:, 0, 0], 1e-18))[:, None]
    m_rho = mean[:, 1:2] + slope * (alpha - m)
    weight = norm.sf(-m_rho / sd_rho) + 1e-300
    rho = _above(np.zeros_like(m), m_rho, sd_rho, points[1])
    gain = np.linalg.solve(cov[:, :2, :2], cov[:, :2, 2:])[..., 0]  # (R, 2)
    sd_kill = np.sqrt(np.maximum(cov[:, 2, 2] - (gain * cov[:, :2, 2]).sum(-1), 1e-18))[:, None]
    kill = mean[:, 2:] + gain[:, :1] * (alpha - m) + gain[:, 1:] * (rho - mean[:, 1:2]) + sd_kill * norm.ppf(points[2])
    return [alpha, rho, kill], weight / weight.sum(axis=1, keepdims=True)


def _above(least: Floats, mean: Floats, sd: Floats, u: Floats) -> Floats:
    """Quantiles u of normals that are known to lie above ``least``."""
    tail = norm.sf((least - mean) / sd)
    return np.maximum(least, mean + sd * norm.isf(np.clip(tail * (1.0 - u), 1e-300, None)))
