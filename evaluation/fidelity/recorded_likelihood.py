"""How likely does a twin model make what was recorded of people it has not met?"""

from __future__ import annotations

import numpy as np
import torch

from twingym.evaluation.fidelity.scores import ratio
from twingym.twins.courses import Courses
from twingym.twins.gate import crop, dataset, log_prob
from twingym.twins.model import TwinModel
from twingym.twins.scales import Floats


@torch.no_grad()
def log_likelihood(model: TwinModel, courses: Courses) -> tuple[Floats, Floats]:
    """Return the log likelihood of each person's course, mixed over the heads, and how many values it holds, (N,).

    What is measured when is part of it, where the model says so.
    """
    data = dataset(courses, model.spec)
    sums, counts = [], []
    for rows in torch.arange(len(data)).split(64):
        batch = crop(data, rows, torch.zeros_like(rows), data.target.shape[1])
        scores = log_prob(model.network, batch).double().sum((2, 3))  # (M, B)
        sums.append(torch.logsumexp(scores, 0) - np.log(len(scores)))
        counts.append(batch.present.double().sum((1, 2)))
    return torch.cat(sums).numpy(), torch.cat(counts).numpy()


def gain(new: Floats, old: Floats, counts: Floats) -> tuple[float, float, float]:
    """Return by how many nats a value is more likely under one model than another, with its 95 % interval over people.

    Args:
        new: Log likelihood of each person, (N,).
        old: The same under the other model.
        counts: Values of each person, (N,).
    """
    return ratio(new - old, counts)
