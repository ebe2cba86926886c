"""How far do sampled paths of several steps run from what happened: a score to learn from beside the likelihood?

A likelihood looks one step ahead, from what was recorded. A simulation goes on from what it drew itself. So, now and
then, paths are drawn from within a course and held against it by the energy score of the joint path, which is proper
(Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102:359). Gradients reach the weights through what was drawn by implicit
reparameterisation (Figurnov, Mohamed & Mnih 2018, NeurIPS), for which the heads' exact cdfs are made.

Legend of shapes: B = people, T = tokens, K = steps of a path, D = modelled variables, C = continuous ones among them,
F = features of a token, P = parameters of a variable.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from twingym.twins.errors import SpecError
from twingym.twins.gate import Dataset
from twingym.twins.head import Head
from twingym.twins.network import TwinNetwork

PATHS = 2  # the fewest that an energy score can be estimated from


def check_rehearsable(network: TwinNetwork, steps: int, tokens: int) -> None:
    """Refuse variables whose counts tokens sum up, people of whom nothing is scored, and segments that are too short.

    Raises:
        SpecError: If paths of ``steps`` cannot be drawn within segments of ``tokens``.
    """
    counted = [network.spec.modelled[k].name for k in network.layout.counted]
    if counted:
        raise SpecError(
            f"energy_weight: {', '.join(counted)} are counts or amounts that are often zero, which tokens sum up and "
            "rehearsed paths do not. Set energy_weight to 0."
        )
    if not any(v.kind == "continuous" for v in network.spec.modelled):
        modelled = ", ".join(v.name for v in network.spec.modelled)
        raise SpecError(
            f"energy_weight: none of {modelled} is continuous; paths draw binary and categorical variables too, "
            "but pass over them in the score, and no other is left. Set energy_weight to 0."
        )
    if network.measurement is not None:
        names = [network.spec.modelled[k].name for k in network.measurement.columns]
        raise SpecError(
            f"energy_weight: {', '.join(names)} are not measured at every step, and paths are held against what was "
            "recorded at each. Set energy_weight to 0."
        )
    if not 1 <= steps <= tokens - 2:
        raise SpecError(
            f"energy_steps is {steps}; allowed: 1 to {tokens - 2} steps, for segments of {tokens} tokens. Record "
            "longer courses or rehearse shorter paths."
        )


def energy_score(network: TwinNetwork, batch: Dataset, first: int, steps: int, head: int, u: Tensor) -> Tensor:
    """Energy score of everybody's path of ``steps`` from token ``first`` on, in typical changes.

    Treatment and inputs are those that were recorded.

    Args:
        network: In training.
        batch: Segments as :func:`~twingym.twins.gate.crop` cuts them.
        first: The token that predicts the first step of the path.
        steps: K.
        head: Ensemble head that draws.
        u: Uniforms, (``PATHS``, B, K, D).

    Returns:
        Shape (B,); zero, with zero gradient, where a value of the path was not recorded.
    """
    scored = [k for k, v in enumerate(network.spec.modelled) if v.kind == "continuous"]
    paths = [path(network, batch, first, head, u[p])[..., scored] for p in range(PATHS)]  # (B, K, C) each
    here = slice(first, first + steps)
    truth, there = batch.target[:, here][..., scored], batch.present[:, here][..., scored]
    whole = there.flatten(1).amin(1)  # (B,)
    scale = network.units[scored] * (steps * len(scored)) ** 0.5

    def distance(one: Tensor, other: Tensor) -> Tensor:
        apart = ((one - other) / scale * whole[:, None, None]).flatten(1)
        length: Tensor = apart.square().sum(1).add(1e-12).sqrt()
        return length * whole

    return 0.5 * (distance(paths[0], truth) + distance(paths[1], truth) - distance(paths[0], paths[1]))


def path(network: TwinNetwork, batch: Dataset, first: int, head: int, u: Tensor) -> Tensor:
    """Draw K steps (B, K, D) from token ``first`` on, with uniforms (B, K, D)."""
    seen = batch.seen.each(lambda tensor: tensor[:, first])
    tokens = network.tokens(batch.seen, batch.actions, batch.inputs, batch.traits)[:, : first + 1]  # (B, first + 1, F)
    drawn = []
    for k in range(u.shape[1]):
        hidden = network.trunk(tokens)[:, -1]
        value = _draw(network, hidden, tokens[:, -1], seen.last, head, u[:, k])
        drawn.append(value)
        place = first + k + 1
        if k + 1 == u.shape[1]:
            break
        # What was done is as recorded; what was seen is what was drawn.
        known = torch.where(seen.birth[:, None] > 0, 0.0, 1.0)
        seen = replace(
            batch.seen.each(lambda tensor, at=place: tensor[:, at]),  # type: ignore[misc]
            value=value,
            present=torch.ones_like(value),
            age=torch.zeros_like(value),
            change=(value - seen.value) / network.units * known,
        )
        token = network.tokens(seen, batch.actions[:, place], batch.inputs[:, place], batch.traits[:, 0])
        tokens = torch.cat([tokens, token[:, None]], dim=1)
    return torch.stack(drawn, dim=1)


def _draw(network: TwinNetwork, hidden: Tensor, token: Tensor, last: Tensor, head: int, u: Tensor) -> Tensor:
    """Draw the next values (B, D) from one head, with gradients; uniforms (B, D)."""
    drawn, params = hidden.new_zeros(len(hidden), 0), network.params_of(head, hidden, token, last)
    for k, distribution in enumerate(network.distributions):
        assert distribution is not None
        value = reparameterised(distribution, params(k, drawn), u[:, k], last[:, k])
        drawn = torch.cat([drawn, value[:, None]], dim=-1)
    return drawn


def reparameterised(head: Head, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
    """Draw values (...) whose gradient is that of the quantile: minus the cdf's over the density.

    Discrete values, and those on the bounds of a variable, have none.

    Args:
        head: The distribution.
        params: Its parameters, (..., P).
        u: Uniforms, (...).
        last: Values before, (...), NaN where there were none.
    """
    with torch.no_grad():
        value = head.icdf(params, u, last)
        if not head.continuous:
            return value
        density = head.log_prob(params, value, last).exp()
    below = head.cdf(params, value, last)
    moved = (below - below.detach()) / density.clamp_min(1e-6)
    return value - torch.where((value > -1.0) & (value < 1.0), moved, 0.0)
