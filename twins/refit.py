"""What do the outcomes of interventions teach a model, and is it better for it?

The feedback loop: a policy is used, courses come back, the model goes on learning from the weights it has. Nothing is
replaced: both models are there afterwards, with what each is worth on people neither has learned from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from twingym.twins.cohort import split_of
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.fit import fit_twin
from twingym.twins.fit_config import FitConfig
from twingym.twins.gate import View, crop, dataset, log_prob
from twingym.twins.model import TwinModel
from twingym.twins.scales import Floats

LEAST_HELD_OUT = 2


@dataclass(frozen=True)
class Refit:
    """A model before and after it went on learning.

    Attributes:
        before: As it was.
        after: With what it learned; saved by nobody but you.
        loss: Negative log likelihood per observation of each held-out person, before and after, (2, N); of people of
            the test split among the courses.
    """

    before: TwinModel
    after: TwinModel
    loss: Floats

    @property
    def gain(self) -> tuple[float, float, float]:
        """How much less is lost after than before, with a 95 % interval over people; better if all are above 0."""
        each = self.loss[0] - self.loss[1]
        half = 1.96 * each.std(ddof=1) / np.sqrt(len(each))
        return float(each.mean()), float(each.mean() - half), float(each.mean() + half)

    @property
    def better(self) -> bool:
        """Whether the interval of the gain is above 0."""
        return self.gain[1] > 0.0

    def card(self) -> str:
        """Return before and after as Markdown."""
        mean, low, high = self.gain
        before, after = self.loss.mean(axis=1)
        verdict = "better" if self.better else "not shown to be better: keep the model before"
        return (
            f"| model | loss on {self.loss.shape[1]} held-out people |\n| --- | --- |\n| before | {before:.4f} |\n"
            f"| after | {after:.4f} |\n\nGain {mean:.4f} ({low:.4f} to {high:.4f}): {verdict}.\n"
        )


def refit(model: TwinModel, source: Courses, config: FitConfig | None = None, view: View | None = None) -> Refit:
    """Go on from a model's weights on new courses, and compare on held-out people.

    Args:
        model: The model; it is not changed.
        source: New courses of people of all three splits: those of train are learned from, those of validation say when
            to stop, those of test compare.
        config: How to train.
        view: Which people may be used; everybody by default.

    Raises:
        SpecError: If nobody is left of a split.
    """
    rows = np.arange(len(source)) if view is None else np.flatnonzero(view(source.ids))
    courses = source.take(rows)
    held_out = np.flatnonzero(split_of(courses.ids) == "test") if len(rows) else rows
    if len(held_out) < LEAST_HELD_OUT:
        raise SpecError(f"{len(held_out)} people of the test split are among the courses; needed: {LEAST_HELD_OUT}.")
    after = fit_twin(courses, model.spec, config=config, start_from=model)
    judged = courses.take(held_out)
    return Refit(model, after, np.stack([_loss(one, judged) for one in (model, after)]))


@torch.no_grad()
def _loss(model: TwinModel, courses: Courses) -> Floats:
    """Negative log likelihood per observation of each course, (N,)."""
    data = dataset(courses, model.spec)
    rows = torch.arange(len(data))
    batch = crop(data, rows, torch.zeros_like(rows), data.target.shape[1])
    scores = log_prob(model.network, batch).mean(0)  # (N, T + 1, D)
    return np.asarray((-scores.sum((1, 2)) / batch.present.sum((1, 2))).double().numpy())
