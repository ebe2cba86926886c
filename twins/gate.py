"""The one gate through which people's data reach training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from twingym.twins.cohort import Ids
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.network import TwinNetwork
from twingym.twins.propensity import propensity_weights
from twingym.twins.seen import Done, Seen, advance_seen
from twingym.twins.spec import TwinSpec

# Which people of a source may be used, from their ids (N,) to a mask (N,): consent, a split, an erasure.
View = Callable[[Ids], NDArray[np.bool_]]


@dataclass(frozen=True)
class Dataset:
    """Encoded courses, sorted by person; tokens j = 0 (birth) to T predict observation j.

    Attributes:
        ids: Person of each course, (N,).
        seen: What each token says was observed, tensors (N, T + 1, D).
        actions: Encoded interventions of each token, (N, T + 1, F); zero at birth.
        inputs: Encoded inputs of each token, (N, T + 1, F); zero at birth.
        traits: Encoded traits, (N, F).
        target: What was observed next, on [-1, 1], (N, T + 1, D).
        present: Which targets were observed, (N, T + 1, D).
        length: Tokens of each course, (N,).
        weight: How much what each token predicts counts, (N, T + 1); see :mod:`twingym.twins.propensity`.
    """

    ids: Ids
    seen: Seen
    actions: Tensor
    inputs: Tensor
    traits: Tensor
    target: Tensor
    present: Tensor
    length: Tensor
    weight: Tensor

    def __len__(self) -> int:
        """Return the number of courses."""
        return len(self.ids)

    def to(self, device: torch.device) -> Dataset:
        """Return the same courses with all tensors on a device."""
        return Dataset(
            self.ids,
            self.seen.each(lambda tensor: tensor.to(device)),
            self.actions.to(device),
            self.inputs.to(device),
            self.traits.to(device),
            self.target.to(device),
            self.present.to(device),
            self.length.to(device),
            self.weight.to(device),
        )


def dataset(source: Courses, spec: TwinSpec, view: View | None = None, weighting: int = 0) -> Dataset:
    """Encode the courses of the people that ``view`` lets through.

    Args:
        source: Recorded courses.
        spec: The declarations they follow.
        view: Which people may be used; everybody by default.
        weighting: Steps over which inverse propensity weights are multiplied; 0 weighs everything alike.

    Raises:
        SpecError: If the view leaves nobody, the columns do not fit the declarations, or weights need propensities that
            were not recorded.
    """
    rows = np.argsort(source.ids, kind="stable")
    if view is not None:
        rows = rows[view(source.ids[rows])]
    if len(rows) == 0:
        raise SpecError(f"dataset: the view leaves 0 of {len(source)} courses; at least 1 is needed.")
    courses = source.take(rows)
    found = (courses.observed.shape[-1], courses.delivered.shape[-1], courses.inputs.shape[-1])
    wanted = (len(spec.variables), len(spec.interventions), len(spec.inputs))
    if found != wanted:
        raise SpecError(f"dataset: courses have {found} variables, interventions and inputs; declared are {wanted}.")

    value, mask = spec.encode_values(courses.observed)
    target, present = _float(value), _float(mask)
    columns = {name: values[:, None] for name, values in courses.traits.items()}
    actions = _after_birth(spec.encode_actions(courses.delivered, columns))
    inputs = _after_birth(spec.encode_inputs(courses.inputs[:, :-1]))
    return Dataset(
        ids=courses.ids,
        seen=_history(
            target,
            present,
            torch.tensor(spec.change_units),
            Done(
                _float(spec.encode_choices(courses.delivered)),
                _float(spec.encode_amounts(courses.delivered, courses.inputs[:, :-1], columns)),
            ),
        ),
        actions=actions,
        inputs=inputs,
        traits=_float(spec.encode_traits(courses.traits)).expand(len(courses), -1),
        target=target,
        present=present,
        length=torch.from_numpy(courses.length + 1),
        weight=_float(propensity_weights(courses, weighting)) if weighting else torch.ones(present.shape[:2]),
    )


def _history(value: Tensor, present: Tensor, units: Tensor, done: Done) -> Seen:
    """What each token knows: the birth token nothing, token j + 1 the observation j, with older ones carried on."""
    n, steps, width = value.shape
    before = done.each(lambda tensor: F.pad(tensor, (0, 0, 1, 0)))  # what led to each observation, (N, T + 1, ...)
    seen = Seen.unborn(n, width, done.levels.shape[-1], done.amounts.shape[-1])
    tokens = [seen]
    for t in range(steps - 1):
        seen = advance_seen(seen, value[:, t], present[:, t], units, before.each(partial(torch.select, dim=1, index=t)))
        tokens.append(seen)
    return Seen.join(tokens, lambda tensors: torch.stack(tensors, dim=1))


def crop(data: Dataset, rows: Tensor, start: Tensor, steps: int, late: Tensor | None = None) -> Dataset:
    """Cut segments of ``steps`` tokens: rows (B,), first tokens (B,). Traits become (B, 1, F).

    A segment that reaches beyond the course is filled up with its last token, and nothing is learned from that. Where
    ``late`` (B,) is 1, the first token does not know how the values it sees have changed: the person joins there.
    """
    index = start[:, None] + torch.arange(steps, device=start.device)  # (B, steps)
    row, there = rows[:, None], (index < data.target.shape[1])[..., None]
    index = index.clamp(max=data.target.shape[1] - 1)

    def cut(tensor: Tensor) -> Tensor:
        return tensor[row, index]

    seen = data.seen.each(cut)
    if late is not None:
        seen.change[:, 0] *= (1.0 - late)[:, None]
    return Dataset(
        ids=data.ids[rows.numpy(force=True)],
        seen=seen,
        actions=cut(data.actions),
        inputs=cut(data.inputs),
        traits=data.traits[rows][:, None],
        target=cut(data.target),
        present=cut(data.present) * there,
        length=(data.length[rows] - start).clamp(max=steps),
        weight=cut(data.weight),
    )


def log_prob(network: TwinNetwork, batch: Dataset) -> Tensor:
    """Log likelihood (M, B, T, D) of the segments that :func:`crop` cut, and of what in them was measured."""
    tokens = network.tokens(batch.seen, batch.actions, batch.inputs, batch.traits)
    hidden = network.trunk(tokens)
    scores = network.log_prob(hidden, tokens, batch.target, batch.present, batch.seen.last)
    if network.measurement is not None:
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        lasts = steps < batch.length[:, None]  # after the end nothing can be measured
        scores = scores + network.measurement.log_prob(hidden, tokens, batch.present) * lasts[..., None]
    return scores


def _after_birth(features: NDArray[np.float64]) -> Tensor:
    padded = np.zeros((features.shape[0], features.shape[1] + 1, features.shape[2]), np.float32)
    padded[:, 1:] = features
    return torch.from_numpy(padded)


def _float(array: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
