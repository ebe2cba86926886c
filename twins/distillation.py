"""A model learns where networks that were fitted apart would disagree, so that it can tell at the price of one head.

The spread of a few networks at a single state is mostly chance, and so is that of the few heads that a step has time
for. As a function of the state it is not: one head that is taught the spread of some networks, on courses that need no
labels, ranks states as other such networks do (ensembles are distilled in this way, with their spread, by Malinin,
Mlodozeniec and Gales 2020, ICLR).

Legend of shapes: N = people, T = steps, K = networks, V = modelled variables, F = features, S = states.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from rich.progress import track
from scipy.stats import spearmanr

from twingym.twins.cohort import Cohort
from twingym.twins.courses import Courses
from twingym.twins.decode import TransformerDynamics, spread
from twingym.twins.doubt_head import DoubtHead
from twingym.twins.errors import SpecError
from twingym.twins.gate import dataset
from twingym.twins.model import TwinModel
from twingym.twins.scales import Floats

WIDTH = 32  # of the head
PASSES, ROWS, LEARNING_RATE = 3, 1024, 2e-3
HELD_OUT = 8  # one person in so many only tells how well the others taught
LEAST = 1e-6  # a spread, in typical changes


class Readers:
    """Networks that read the courses of the same N people, step by step as they come."""

    def __init__(
        self, networks: Sequence[TransformerDynamics], cohort: Cohort, inputs: Floats, observed: Floats
    ) -> None:
        """Let K networks meet people at birth, with inputs (N, I) and what was observed of them."""
        self._networks = networks
        self._luck = [np.full((len(cohort), network.noise_width), 0.5) for network in networks]  # of no consequence
        self._states = [
            network.observe(network.initial(cohort, inputs, luck)[0], observed)
            for network, luck in zip(networks, self._luck, strict=True)
        ]

    def step(self, delivered: Floats, inputs: Floats, observed: Floats) -> Floats:
        """Return what each network expects of a step, (K, N, V), and tell all what was then ``observed``."""
        means = []
        for k, (network, luck) in enumerate(zip(self._networks, self._luck, strict=True)):
            moved, _ = network.step(self._states[k], delivered, inputs, luck)
            means.append(network.means(moved).mean(axis=0))
            self._states[k] = network.observe(moved, observed)
        return np.stack(means)


def spreads(networks: Sequence[TransformerDynamics], courses: Courses, *, progress: bool = False) -> Floats:
    """Let networks read courses, and return how far their means differ about each step.

    Args:
        networks: K of them, each with a spec like that of the others.
        courses: N people over T steps.
        progress: Show a progress bar.

    Returns:
        Shape (N, T), in typical changes; NaN after the end of a course.
    """
    steps = courses.delivered.shape[1]
    readers = Readers(networks, Cohort(courses.ids, dict(courses.traits)), courses.inputs[:, 0], courses.observed[:, 0])
    told = np.full((len(courses), steps), np.nan)
    for t in track(range(steps), "networks read courses", disable=not progress):
        told[:, t] = spread(readers.step(courses.delivered[:, t], courses.inputs[:, t], courses.observed[:, t + 1]))
    told[np.arange(steps) >= courses.length[:, None]] = np.nan
    return told


def distilled(
    model: TwinModel, networks: Sequence[TwinModel], courses: Courses, *, seed: int = 0, progress: bool = False
) -> TwinModel:
    """Teach a model where networks disagree; nothing else about it changes.

    Args:
        model: Whose trunk the new head stands on. It is left as it is.
        networks: At least two, fitted apart from the model and from each other.
        courses: N people whom the head is taught on, one in eight of them held out; best under all that policies may
            do. What was observed need not be true: they may come from the model itself.
        seed: Of first weights and of the order of states.
        progress: Show progress bars.

    Returns:
        The model with a doubt head. Its description says, under ``doubt``, how many networks and states taught it, and
        Spearman's correlation of what it says of people held out with what the networks differ by.

    Raises:
        SpecError: If there are fewer than two networks, or one of another spec, or too few people.
    """
    check_enough(len(networks), len(courses))
    if any(each.spec != model.spec for each in networks):
        raise SpecError("a network has another spec than the model; fit all of them to the same scenario.")
    differ = spreads([each.dynamics() for each in networks], courses, progress=progress)
    by_id = np.log(np.maximum(differ, LEAST))[np.argsort(courses.ids, kind="stable")]
    told = torch.from_numpy(by_id).float()  # (N, T)
    data = dataset(courses, model.spec)  # sorted by id too
    with torch.no_grad():
        tokens = model.network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])  # (N, T + 1, F)
        hidden = model.network.trunk(tokens)
    known = torch.isfinite(told)
    taught = torch.arange(len(courses))[:, None].expand_as(known) % HELD_OUT > 0
    rows = torch.nonzero(known & taught)  # (S, 2): person and step
    head = DoubtHead.untaught(hidden.shape[-1] + tokens.shape[-1], WIDTH, seed)
    _teach(head, hidden[:, 1:], tokens[:, 1:], told, rows, seed, progress)

    who, when = torch.nonzero(known & ~taught, as_tuple=True)
    with torch.no_grad():
        said = head.log_spread(hidden[who, when + 1], tokens[who, when + 1])
    rank = float(spearmanr(said.numpy(), told[who, when].numpy()).statistic)
    about = {"networks": len(networks), "states": len(rows), "spearman": rank}
    network = deepcopy(model.network)
    network.doubt = head
    return TwinModel(network, {**model.training, "doubt": about})


def check_enough(networks: int, courses: int) -> None:
    """Refuse too few networks or courses to learn disagreement from.

    Raises:
        SpecError: If there are.
    """
    if networks < 2:
        raise SpecError(f"networks to learn disagreement from are {networks}; allowed: 2 or more.")
    if courses < 2 * HELD_OUT:
        raise SpecError(f"courses to learn disagreement on are {courses}; allowed: {2 * HELD_OUT} or more.")


def _teach(
    head: DoubtHead,
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    told: torch.Tensor,
    rows: torch.Tensor,
    seed: int,
    progress: bool,
) -> None:
    """Fit the head to log spreads ``told`` (N, T) at ``rows`` (S, 2), by least squares."""
    order, batch = torch.Generator().manual_seed(seed), min(ROWS, len(rows))
    per_pass = len(rows) // batch
    with torch.no_grad():
        last = head.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        last.bias.fill_(told[rows[:, 0], rows[:, 1]].mean())
    optimizer = torch.optim.AdamW(head.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=PASSES * per_pass + 1)
    for _ in track(range(PASSES), "learning where they disagree", disable=not progress):
        for few in torch.randperm(len(rows), generator=order)[: per_pass * batch].split(batch):
            who, when = rows[few].T
            loss = (head.log_spread(hidden[who, when], tokens[who, when]) - told[who, when]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
