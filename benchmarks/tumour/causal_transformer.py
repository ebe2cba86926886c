"""The baseline: a network of the size and form of the Causal Transformer, on the same arrays, in minutes.

Melnychuk, Frauen & Feuerriegel 2022, "Causal Transformer for Estimating Counterfactual Outcomes", ICML: one block, two
streams (treatments and outcomes) with attention to themselves and to each other, relative positions, a mean forecast
trained on squared error of standardised volumes, plans rolled out by feeding means back. Without the balancing loss
(their alpha = 0), which does as well in their own tables. Sizes are theirs for each gamma, epochs are fewer.

Legend of shapes: B = patients, T = days, D = width, H = heads, E = width of a head, R = questions, P = days of a plan.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tumour.counterfactuals import Questions
from benchmarks.tumour.simulator import DAYS, Floats, Recorded

HEADS, FURTHEST, DROPOUT, BATCH, EMA = 2, 15, 0.1, 128, 0.99


@dataclass(frozen=True)
class Sizes:
    """Settings that were tuned for one gamma.

    Attributes:
        width: D.
        representation: Width of the representation.
        hidden: Width of the outcome network.
    """

    width: int
    representation: int
    hidden: int


TUNED = {0.0: Sizes(16, 12, 24), 2.0: Sizes(16, 8, 32), 4.0: Sizes(12, 16, 48)}
# Theirs is 0.001 or 0.01 for 150 epochs; for fewer epochs a cycle up to the larger one.
LEARNING_RATE = 1e-2


class Attention(nn.Module):
    """Causal attention with learned relative positions in keys and values (Shaw et al. 2018), then a norm."""

    def __init__(self, width: int, keys: nn.Embedding, values: nn.Embedding) -> None:
        """Build it with the shared tables of positions."""
        super().__init__()
        self.head = width // HEADS
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.at_key, self.at_value, self.norm = keys, values, nn.LayerNorm(width)

    def forward(self, x: Tensor, other: Tensor, first: int = 0) -> Tensor:
        """Queries x (B, Q, D), the first of them at place ``first`` of other (B, T, D) -> (B, Q, D)."""
        q, k, v = (
            layer(y).unflatten(-1, (HEADS, self.head)).transpose(1, 2)  # (B, H, Q or T, E)
            for layer, y in ((self.query, x), (self.key, other), (self.value, other))
        )
        ahead = torch.arange(other.shape[1])[None, :] - (first + torch.arange(x.shape[1]))[:, None]  # (Q, T)
        place = F.one_hot(ahead.clamp(-FURTHEST, 0) + FURTHEST, FURTHEST + 1).to(x.dtype)  # (Q, T, places)
        scores = q @ k.transpose(-1, -2) + torch.einsum("bhqp,qtp->bhqt", q @ self.at_key.weight.T, place)
        weight = (scores / math.sqrt(self.head)).masked_fill(ahead > 0, -torch.inf).softmax(-1)
        weight = F.dropout(weight, DROPOUT, self.training)
        mixed = weight @ v + torch.einsum("bhqt,qtp->bhqp", weight, place) @ self.at_value.weight
        return self.norm(mixed.transpose(1, 2).flatten(-2) + x)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two layers, then a norm."""

    def __init__(self, width: int) -> None:
        """Build it."""
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Features (..., D) -> (..., D)."""
        inside = F.dropout(F.relu(self.up(x)), DROPOUT, self.training)
        return self.norm(F.dropout(self.down(inside), DROPOUT, self.training) + x)  # type: ignore[no-any-return]


class Network(nn.Module):
    """From volumes and treatments before a day, and the day's treatment, to the next volume."""

    def __init__(self, sizes: Sizes) -> None:
        """Build an untrained network."""
        super().__init__()
        d = sizes.width
        self.size_in, self.treatment_in, self.kind_in = nn.Linear(1, d), nn.Linear(4, d), nn.Linear(1, d)
        tables = [nn.Embedding(FURTHEST + 1, d // HEADS) for _ in range(2)]
        self.own = nn.ModuleList(Attention(d, *tables) for _ in range(2))
        self.cross = nn.ModuleList(Attention(d, *tables) for _ in range(2))
        self.rest = nn.ModuleList(FeedForward(d) for _ in range(2))
        self.represent = nn.Linear(d, sizes.representation)
        self.hidden, self.out = nn.Linear(sizes.representation + 4, sizes.hidden), nn.Linear(sizes.hidden, 1)

    def forward(self, size: Tensor, before: Tensor, kind: Tensor, given: Tensor, first: int = 0) -> Tensor:
        """Return next volumes, standardised, (B, Q), from day ``first`` on.

        Args:
            size: Volumes, standardised, (B, T).
            before: Treatments before each day, one-hot, (B, T, 4).
            kind: Types of patients, standardised, (B,).
            given: Treatments of the days from ``first`` on, one-hot, (B, Q, 4), Q = T - first.
            first: First day that is asked about.
        """
        streams = [self.treatment_in(before), self.size_in(size[..., None])]
        static = self.kind_in(kind[:, None])[:, None]  # (B, 1, D)
        made = []
        for k, (own, cross, rest) in enumerate(zip(self.own, self.cross, self.rest, strict=True)):
            mine, theirs = streams[k], streams[1 - k]
            made.append(rest(cross(own(mine[:, first:], mine, first), theirs, first) + static))
        x = F.dropout(0.5 * (made[0] + made[1]), DROPOUT, self.training)
        return self.outcome(F.elu(self.represent(x)), given)

    def outcome(self, representation: Tensor, given: Tensor) -> Tensor:
        """Next volumes, standardised, (...), from representations (..., r) and treatments (..., 4)."""
        return self.out(F.elu(self.hidden(torch.cat([representation, given], dim=-1))))[..., 0]  # type: ignore[no-any-return]


class CausalTransformer:
    """The fitted baseline.

    Attributes:
        network: Averaged weights.
        seconds: CPU seconds of the fit.
    """

    def __init__(self, train: Recorded, gamma: float, *, epochs: int, seed: int = 0) -> None:
        """Fit it for so many epochs."""
        there = np.arange(DAYS) < train.steps[:, None]
        sizes = train.size[there]
        self.centre, self.scale = float(sizes.mean()), float(sizes.std())
        self.kinds = float(train.kind.mean()), float(train.kind.std())
        began = time.process_time()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._fit(train, TUNED[gamma], epochs)
        self.seconds = time.process_time() - began

    def _fit(self, train: Recorded, sizes: Sizes, epochs: int) -> None:
        network = Network(sizes)
        self.network = copy.deepcopy(network).eval()
        optimizer, steps = torch.optim.Adam(network.parameters()), epochs * -(-len(train.steps) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1)
        size, before, kind, given = self._inputs(train, np.arange(len(train.steps)))
        there = torch.from_numpy(np.arange(DAYS - 1) < train.steps[:, None])
        for _ in range(epochs):
            for rows in torch.randperm(len(size)).split(BATCH):
                forecast = network(size[rows, :-1], before[rows, :-1], kind[rows], given[rows, :-1])
                loss = ((forecast - size[rows, 1:]) ** 2)[there[rows]].mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
                        mine.lerp_(theirs, 1.0 - EMA)

    def _inputs(self, known: Recorded, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Volumes (B, T), treatments before each day and of it (B, T, 4), and types (B,) of some patients."""
        size = torch.from_numpy(np.nan_to_num((known.size[rows] - self.centre) / self.scale)).float()
        given = _one_hot(torch.from_numpy(np.stack([known.chemo[rows], known.radio[rows]], axis=-1)))
        kind = torch.from_numpy((known.kind[rows] - self.kinds[0]) / self.kinds[1]).float()
        return size, F.pad(given, (0, 0, 1, 0))[:, :-1], kind, given

    @torch.inference_mode()
    def forecast(self, questions: Questions) -> Floats:
        """Return volumes on the day after each of the plan's, (R, P), cm^3."""
        found, doses = np.empty(questions.answer.shape), _one_hot(torch.from_numpy(questions.doses))
        for day in np.unique(questions.day):
            rows = np.flatnonzero(questions.day == day)
            size, before, kind, _ = self._inputs(questions.history, questions.patient[rows])
            size, before = size[:, : day + 1], before[:, : day + 1]
            for k in range(doses.shape[1]):
                given = doses[rows, k : k + 1]
                after = self.network(size, before, kind, given, int(day) + k)
                if k >= questions.lead:
                    found[rows, k - questions.lead] = after[:, 0].numpy() * self.scale + self.centre
                size, before = torch.cat([size, after], dim=1), torch.cat([before, given], dim=1)
        return np.maximum(found, 0.0)


def _one_hot(treatments: Tensor) -> Tensor:
    """From chemotherapy and radiotherapy (..., 2) to one of four, (..., 4)."""
    return F.one_hot((treatments[..., 0] + 2 * treatments[..., 1]).long(), 4).float()
