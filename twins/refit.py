"""What do the outcomes of interventions teach a model, and is it better for it?

The feedback loop: a policy is used, courses come back, the model goes on learning from the weights it has. Nothing is
replaced: both models are there afterwards, with what each is worth on people neither has learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from twingym.twins.cohort import Rows, Split, split_of
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.fit import fit_twin
from twingym.twins.fit_config import FitConfig
from twingym.twins.gate import View, crop, dataset, log_prob
from twingym.twins.model import TwinModel
from twingym.twins.scales import Floats

NEEDED: Mapping[Split, int] = {"train": 1, "validation": 1, "test": 2}  # people
AT_ONCE = 64  # courses that are judged at a time


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

    @property
    def verdict(self) -> str:
        """Whether the model is better for it, in words."""
        if self.better:
            return "better"
        return "worse: keep the model before" if self.gain[2] < 0.0 else "not shown to be better"

    def card(self) -> str:
        """Return before and after as Markdown."""
        mean, low, high = self.gain
        before, after = self.loss.mean(axis=1)
        return (
            f"| model | loss on {self.loss.shape[1]} held-out people |\n| --- | --- |\n| before | {before:.4f} |\n"
            f"| after | {after:.4f} |\n\nGain {mean:.4f} ({low:.4f} to {high:.4f}): {self.verdict}.\n"
        )


def refit(
    model: TwinModel,
    source: Courses,
    config: FitConfig | None = None,
    view: View | None = None,
    *,
    folder: Path | None = None,
    progress: bool = False,
) -> Refit:
    """Go on from a model's weights on new courses, and compare on held-out people.

    Args:
        model: The model; it is not changed.
        source: New courses of people of all three splits: those of train are learned from, those of validation say when
            to stop, those of test compare.
        config: How to train.
        view: Which people may be used; everybody by default.
        folder: Where a checkpoint is kept after each epoch; called again with the same arguments, a refit that was
            killed goes on from it.
        progress: Show a progress bar with a time estimate.

    Raises:
        SpecError: If too few are left of a split.
        WeightsError: If the folder holds a checkpoint of another fit.
    """
    rows = np.arange(len(source)) if view is None else np.flatnonzero(view(source.ids))
    courses = source.take(rows).filled()
    check_splits(courses)
    after = fit_twin(courses, model.spec, folder, config, start_from=model, progress=progress)
    if model.network.recalibration and not (config or FitConfig()).recalibrate:
        after.network.recalibrate(model.network.recalibration)
    after.network.doubt = deepcopy(model.network.doubt)
    return compared(model, after, courses)


def check_splits(courses: Courses) -> None:
    """Refuse courses of too few people to learn from, to stop by or to compare on.

    Raises:
        SpecError: If too few are left of a split.
    """
    found = {name: len(np.unique(courses.ids[_of(name, courses)])) for name in NEEDED}
    if any(found[name] < least for name, least in NEEDED.items()):
        counted = ", ".join(f"{number} people of the {name} split" for name, number in found.items())
        needed = ", ".join(map(str, NEEDED.values()))
        raise SpecError(
            f"among the courses are {counted}; needed: {needed}. Splits are a hash of the person's number "
            "(twingym.twins.split_of): 7 in 10 are train, 1 in 10 validation, 2 in 10 test. Record more people."
        )


def compared(before: TwinModel, after: TwinModel, source: Courses) -> Refit:
    """Compare two models on the people of the test split among courses."""
    courses = source.filled()
    judged = courses.take(_of("test", courses))
    return Refit(before, after, np.stack([_loss(one, judged) for one in (before, after)]))


def _of(split: Split, courses: Courses) -> Rows:
    return np.flatnonzero(split_of(courses.ids) == split) if len(courses) else np.empty(0, dtype=np.intp)


@torch.no_grad()
def _loss(model: TwinModel, courses: Courses) -> Floats:
    """Negative log likelihood per observation of each course, (N,)."""
    data, losses = dataset(courses, model.spec), []
    for rows in torch.arange(len(data)).split(AT_ONCE):
        batch = crop(data, rows, torch.zeros_like(rows), data.target.shape[1])
        scores = log_prob(model.network, batch).mean(0)  # (N, T + 1, D)
        losses.append(-scores.sum((1, 2)) / batch.present.sum((1, 2)))
    return np.asarray(torch.cat(losses).double().numpy())
