"""Could anybody tell courses of the twin model from courses of the reference?

Windows of courses under the behaviour of the training data, one per person, other people on either side. A positive
control (reference against reference) must not be rejected; a negative one, in which every step of a window belongs to
another person, so that each step alone is right and nothing hangs together, must be.

The predictive score asks something else: is a forecaster that learned from simulated windows as good, on real ones, as
one that learned from real ones (train on synthetic, test on real)?
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform
from torch import nn

from twingym.envs.behaviour import collect
from twingym.evaluation.bounds import mean_of, share_of
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats

LENGTH = 24  # steps per window
SHUFFLES = 500
LEVEL = 0.01  # of the permutation test
EPOCHS, HIDDEN = 60, 32


def two_sample(scenario: Scenario, dynamics: Dynamics, ids: Ids, seed: int) -> dict[str, Any]:
    """Compare windows of the twin model with windows of the reference, beside both controls.

    Args:
        scenario: A scenario with a reference.
        dynamics: The twin model.
        ids: Held-out people; a third of them lives in the twin model, two thirds on the reference.
        seed: Of courses, windows, permutations and the classifier.

    Returns:
        ``twin``, ``positive`` and ``negative``: each ``mmd`` (squared maximum mean discrepancy), its ``p``,
        ``discriminative`` (a classifier's accuracy on people it did not see, less one half: [estimate, low, high]),
        ``predictive`` (error on windows of the reference of a forecaster that learned from these windows, in standard
        deviations: [mean, low, high]), ``autocorrelation`` and ``cross_correlation`` (mean absolute error);
        ``people`` on each side and ``channels``.
    """
    third = len(ids) // 3
    steps = min(scenario.horizon, 8 * LENGTH)
    names = [v for v in scenario.variables if v.kind != "event" and v.seen_by("twin")]
    columns = [scenario.variables.index(v) for v in names]
    random = np.random.Generator(np.random.Philox(key=seed))
    worlds: list[str | Dynamics] = [dynamics, "reference", "reference"]
    lived = [
        collect(scenario, ids[k * third : (k + 1) * third], seed, horizon=steps, dynamics=world)
        for k, world in enumerate(worlds)
    ]
    # Where events end most courses early, windows are no longer than half of the reference's courses.
    length = min(LENGTH, steps, max(2, int(np.median(lived[1].length))))

    def windows(courses: Courses) -> Floats:
        courses = courses.take(np.flatnonzero(courses.length >= length))
        begins = (random.random(len(courses)) * (courses.length - length + 1)).astype(int)
        at = begins[:, None] + 1 + np.arange(length)  # (N, W)
        seen = courses.observed[np.arange(len(courses))[:, None], at][..., columns]
        return np.stack([v.scaling.to_unit(seen[..., k]) for k, v in enumerate(names)], axis=-1)  # (N, W, V)

    twin, real, other = map(windows, lived)
    fewest = min(map(len, (twin, real, other)))
    twin, real, other = twin[:fewest], real[:fewest], other[:fewest]
    mixed = other.copy()
    for t in range(length):
        mixed[:, t] = other[random.permutation(fewest), t]
    compared = {"twin": twin, "positive": other, "negative": mixed}
    return {
        "people": fewest,
        "channels": [v.name for v in names],
        **{
            name: {
                **dict(zip(("mmd", "p"), mmd(windows, real, seed), strict=True)),
                "discriminative": discriminative(windows, real, seed),
                "predictive": predictive(windows, real, seed),
                "autocorrelation": float(np.abs(autocorrelation(windows) - autocorrelation(real)).mean()),
                "cross_correlation": float(np.abs(cross_correlation(windows) - cross_correlation(real)).mean()),
            }
            for name, windows in compared.items()
        },
    }


def mmd(a: Floats, b: Floats, seed: int, shuffles: int = SHUFFLES) -> tuple[float, float]:
    """Squared maximum mean discrepancy of windows (N, W, V) and (M, W, V), and the p-value of a permutation test.

    The kernel is Gaussian with the median distance as its width; channels are standardised by ``b``.

    Source: Gretton et al. 2012, J. Mach. Learn. Res. 13:723.
    """
    spread = b.std(axis=(0, 1))
    rows = np.concatenate([a, b])[..., spread > 0.0] / spread[spread > 0.0]
    distance = squareform(pdist(rows.reshape(len(rows), -1)))
    width = np.median(distance[distance > 0.0]) if (distance > 0.0).any() else 1.0
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    np.fill_diagonal(kernel, 0.0)
    random = np.random.Generator(np.random.Philox(key=seed))
    sides = np.tile(np.arange(len(rows)) < len(a), (shuffles + 1, 1))
    sides[1:] = random.permuted(sides[1:], axis=1)
    first, second = sides.astype(float), (~sides).astype(float)  # (K, N + M)
    n, m, seen = len(a), len(b), first @ kernel
    found = (
        (seen * first).sum(axis=1) / (n * (n - 1))
        + ((second @ kernel) * second).sum(axis=1) / (m * (m - 1))
        - 2.0 * (seen * second).sum(axis=1) / (n * m)
    )
    return float(found[0]), float((1 + (found[1:] >= found[0]).sum()) / (shuffles + 1))


def discriminative(a: Floats, b: Floats, seed: int) -> list[float]:
    """Accuracy, less one half, of a recurrent classifier on the half of the windows that it was not trained on.

    Returns:
        The estimate, and its exact 95 % interval.

    Source: Yoon et al. 2019, "Time-series generative adversarial networks", NeurIPS.
    """
    rows = np.concatenate([standardised(a, b), standardised(b, b)])
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(rows))
    x = torch.from_numpy(rows[order]).float()
    y = torch.from_numpy((order < len(a)).astype(np.float32))
    half = len(order) // 2
    carry, read, optimiser = _recurrent(x.shape[-1], 1, seed)

    def logits(windows: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(read(carry(windows)[0].mean(dim=1))[:, 0])

    for _ in range(EPOCHS):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(logits(x[:half]), y[:half]).backward()
        optimiser.step()
    with torch.inference_mode():
        right = (logits(x[half:]) > 0.0) == (y[half:] > 0.5)
    return [number - 0.5 for number in share_of(right.double().numpy()).bounded()]


def predictive(a: Floats, b: Floats, seed: int) -> list[float]:
    """Mean absolute error, on windows ``b``, of a recurrent network that learned from ``a`` what comes next.

    Returns:
        In standard deviations of ``b``: the mean over windows, with a 95 % interval.

    Source: Yoon et al. 2019, "Time-series generative adversarial networks", NeurIPS.
    """
    x, test = (torch.from_numpy(standardised(windows, b)).float() for windows in (a, b))
    carry, read, optimiser = _recurrent(x.shape[-1], x.shape[-1], seed)

    def error(windows: torch.Tensor) -> torch.Tensor:
        change = read(carry(windows[:, :-1])[0])
        return torch.as_tensor((windows[:, :-1] + change - windows[:, 1:]).abs().mean(dim=(1, 2)))

    for _ in range(EPOCHS):
        optimiser.zero_grad()
        error(x).mean().backward()
        optimiser.step()
    with torch.inference_mode():
        return mean_of(error(test).double().numpy()).bounded()


def standardised(windows: Floats, real: Floats) -> Floats:
    """Subtract means and divide by standard deviations of ``real``, by channel; those that do not vary stay at 0."""
    spread = real.std(axis=(0, 1))
    return np.asarray((windows - real.mean(axis=(0, 1))) / np.where(spread > 0.0, spread, 1.0))


def _recurrent(inputs: int, outputs: int, seed: int) -> tuple[nn.GRU, nn.Linear, torch.optim.Optimizer]:
    """Return a small network with weights drawn from ``seed``, and what trains it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        carry, read = nn.GRU(inputs, HIDDEN, batch_first=True), nn.Linear(HIDDEN, outputs)
    return carry, read, torch.optim.Adam([*carry.parameters(), *read.parameters()], lr=0.01, weight_decay=1e-3)


def autocorrelation(windows: Floats) -> Floats:
    """Autocorrelation of each channel at lags 1 to half a window, over all windows, (L, V); 0 where nothing varies."""
    deviation = windows - windows.mean(axis=(0, 1))
    lags = range(1, windows.shape[1] // 2 + 1)
    variance = np.maximum((deviation**2).mean(axis=(0, 1)), 1e-12)
    return np.stack([(deviation[:, lag:] * deviation[:, :-lag]).mean(axis=(0, 1)) / variance for lag in lags])


def cross_correlation(windows: Floats) -> Floats:
    """Correlations between channels within a step, (V, V)."""
    rows = windows.reshape(-1, windows.shape[-1])
    deviation = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-6)
    return np.asarray(deviation.T @ deviation / len(rows))
