"""How often was what a twin model called unlikely true, and how is it told: recalibration on people it has not met.

Intervals of a fitted model are too narrow or too wide by what it learned by heart or could not learn. Where, in its own
cdf, the values of held-out people lie (probability integral transform, PIT) tells by how much; see
:mod:`twingym.twins.recalibrated_head` for what is done with it. One map per continuous variable holds for everybody and
all steps: groups that are off in opposite ways are not mended by it.

Legend of shapes: N = people, T = tokens, D = modelled variables, M = ensemble heads, S = values.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from twingym.twins.cohort import split_of
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.gate import Dataset, crop, dataset
from twingym.twins.head import Head
from twingym.twins.model import TwinModel
from twingym.twins.network import TwinNetwork
from twingym.twins.recalibrated_head import LEVELS
from twingym.twins.scales import Floats

LEAST_VALUES = 400  # two beyond the outermost inner level
IDENTITY_SHARE = 0.01  # keeps the map's slope finite where no value fell
PEOPLE_AT_ONCE = 64


def recalibrated(model: TwinModel, courses: Courses) -> TwinModel:
    """Return the model with cdfs bent so that they hold for the validation people of ``courses``.

    Weights stay as they are; a recalibration that the model already has is replaced.

    Args:
        model: A fitted model.
        courses: Recorded courses; people of other splits are left out.

    Raises:
        SpecError: If no variable is continuous, or too little of one was recorded.
    """
    data = dataset(courses, model.spec, lambda ids: split_of(ids) == "validation")
    check_recalibratable(model.network, data)
    network = deepcopy(model.network)
    network.recalibrate({})
    values = pit(network.eval(), data)
    network.recalibrate({name: _knots(found) for name, found in values.items()})
    return TwinModel(network, model.training)


def check_recalibratable(network: TwinNetwork, data: Dataset) -> None:
    """Refuse what cannot be recalibrated, before a fit rather than after it.

    Raises:
        SpecError: If no variable is continuous, or too little of one was recorded.
    """
    columns = _columns(network)
    if not columns:
        raise SpecError("recalibrate: no modelled variable is continuous and predicted as such. Set it to False.")
    for k in columns:
        count = int(data.present[..., k].sum())
        if count < LEAST_VALUES:
            raise SpecError(
                f"recalibrate: {network.spec.modelled[k].name} was recorded {count} times in people of the validation "
                f"split; at least {LEAST_VALUES} are needed. Record more of them, or set recalibrate to False."
            )


@torch.no_grad()
def pit(network: TwinNetwork, data: Dataset, seed: int = 0) -> dict[str, Floats]:
    """Return where recorded values lie in the cdf of every head, by name of the continuous variables, each (S,).

    Each value given what was recorded before it; uniform if the network is calibrated. On a bound that has probability
    of its own it is drawn at random between the cdf left and right of the jump.

    Args:
        network: Fitted.
        data: Encoded courses.
        seed: Of what is drawn on bounds.
    """
    random = torch.Generator().manual_seed(seed)
    found: dict[str, list[Tensor]] = {network.spec.modelled[k].name: [] for k in _columns(network)}
    for rows in torch.arange(len(data)).split(PEOPLE_AT_ONCE):
        batch = crop(data, rows, torch.zeros_like(rows), data.target.shape[1])
        tokens = network.tokens(batch.seen, batch.actions, batch.inputs, batch.traits)
        hidden = network.trunk(tokens)
        target = network.recorded(batch.target, batch.present)
        for m in range(len(network.trunk.heads)):
            params = network.params_of(m, hidden, tokens, batch.seen.last)
            for k in _columns(network):
                there = batch.present[..., k] > 0
                head = network.distributions[k]
                assert head is not None
                say = params(k, target[..., :k])[there][..., : head.width]
                values, last = batch.target[..., k][there], batch.seen.last[..., k][there]
                found[network.spec.modelled[k].name].append(_pit(head, say, values, last, random))
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}


def _pit(head: Head, params: Tensor, value: Tensor, last: Tensor, random: torch.Generator) -> Tensor:
    reached = head.cdf(params, value, last)
    for atom in head.atoms:
        on = value <= atom if atom < 0.0 else value >= atom
        mass = head.log_prob(params, value, last).exp()
        top = mass if atom < 0.0 else torch.ones_like(mass)
        reached = torch.where(on, top - mass * torch.rand(value.shape, generator=random), reached)
    return reached


def _columns(network: TwinNetwork) -> list[int]:
    """Which modelled variables have a continuous distribution of their own."""
    return [k for k, head in enumerate(network.distributions) if head is not None and head.continuous]


def _knots(values: Floats) -> tuple[float, ...]:
    """Where the levels of values (S,) that ought to be uniform lie."""
    inner = np.array(LEVELS[1:-1])
    found = (1.0 - IDENTITY_SHARE) * np.quantile(values, inner) + IDENTITY_SHARE * inner
    return (0.0, *(float(x) for x in found), 1.0)
