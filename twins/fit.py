"""How is a twin model fitted to courses: likelihood of every next observation, on random crops, with EMA weights."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from twingym.twins.cohort import split_of
from twingym.twins.courses import Courses
from twingym.twins.device import usable_device
from twingym.twins.errors import WeightsError
from twingym.twins.fit_config import FitConfig
from twingym.twins.gate import Dataset, crop, dataset, log_prob
from twingym.twins.model import TwinModel, save_atomically
from twingym.twins.network import TwinNetwork
from twingym.twins.noise import Stream, uniforms
from twingym.twins.recalibration import check_recalibratable, recalibrated
from twingym.twins.rehearsal import PATHS, check_rehearsable, energy_score
from twingym.twins.spec import TwinSpec
from twingym.twins.transformer_config import TransformerConfig

CHECKPOINT = "fit.checkpoint"


def fit_twin(
    source: Courses,
    spec: TwinSpec,
    folder: Path | None = None,
    config: FitConfig | None = None,
    network: TransformerConfig | None = None,
    *,
    fresh: Callable[[int], Courses] | None = None,
    start_from: TwinModel | None = None,
    device: str = "cpu",
    progress: bool = False,
    after_epoch: Callable[[TwinModel, int], None] | None = None,
) -> TwinModel:
    """Fit a twin model; people of the validation split decide when to stop.

    Args:
        source: Courses of people of the train and validation splits; the gate is :func:`~twingym.twins.gate.dataset`.
        spec: Declarations of the scenario.
        folder: Where a checkpoint is kept after each epoch; a killed fit called again with the same arguments
            continues from it. None keeps nothing.
        config: How to train.
        network: Sizes.
        fresh: Courses of the train split for epoch 0, 1, ..., in place of those of ``source``: whoever is simulated
            need neither be met twice nor be kept in memory.
        start_from: Model whose weights are the first ones; its sizes are kept. It is not changed.
        device: Where the network is trained, ``cpu`` or ``cuda``; a killed fit may go on elsewhere than it began.
            The model that is returned is on the CPU.
        progress: Show a progress bar with a time estimate.
        after_epoch: Called with the model so far and the epoch number.

    Returns:
        The model with the best averaged weights on the validation people. It is not saved.

    Raises:
        SpecError: If the device is not there.
        WeightsError: If the folder holds a checkpoint of another fit.
    """
    config, network, place = config or FitConfig(), network or TransformerConfig(), usable_device(device)
    if start_from is not None:
        network = start_from.network.config
    torch.set_num_threads(config.threads)

    def learn_from(courses: Courses) -> Dataset:
        return dataset(courses, spec, lambda ids: split_of(ids) == "train", config.propensity_weighting)

    train = learn_from(fresh(0) if fresh else source)
    held_out = dataset(source, spec, lambda ids: split_of(ids) == "validation", config.propensity_weighting)
    fit = _Fit(train, held_out, spec, config, network, place)
    if start_from is not None:
        fit.begin_with(start_from)
    path = None if folder is None else folder / CHECKPOINT
    if path is not None and path.is_file():
        fit.resume(path)
    bar = Progress(
        TextColumn("fit {task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        disable=not progress,
    )
    with bar:
        task = bar.add_task("", total=config.epochs * config.batches, completed=fit.epoch * config.batches)
        while fit.epoch < config.epochs and fit.stale < config.patience:
            if fresh and fit.epoch:
                fit.meet(learn_from(fresh(fit.epoch)))
            fit.run_epoch(lambda: bar.advance(task))
            best = fit.best_loss
            bar.update(task, description=f"epoch {fit.epoch}: loss {fit.losses[-1]:.4f} (best {best:.4f})")
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                save_atomically(path, fit.state())
            if after_epoch is not None:
                after_epoch(fit.model(), fit.epoch)
    model = recalibrated(fit.model(), source) if config.recalibrate else fit.model()
    if path is not None and path.is_file():
        path.unlink()
    return model


class _Fit:
    """A fit in progress: everything that a checkpoint holds."""

    def __init__(
        self,
        train: Dataset,
        held_out: Dataset,
        spec: TwinSpec,
        config: FitConfig,
        sizes: TransformerConfig,
        device: torch.device,
    ) -> None:
        self.device, self.spec, self.config = device, spec, config
        self.held_out = held_out.to(device)
        self.network = TwinNetwork.untrained(spec, sizes, config.seed).to(device)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.best = {k: v.clone() for k, v in self.average.items()}
        self.optimizer = torch.optim.AdamW(
            [p for p in self.network.parameters() if p.requires_grad],
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        self.rows, self.steps = config.shape(train.target.shape[1], spec)
        if config.energy_weight:
            check_rehearsable(self.network, config.energy_steps, self.steps)
        if config.recalibrate:
            check_recalibratable(self.network, held_out)
        self._all_steps = steps = config.epochs * config.batches
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=config.learning_rate, total_steps=steps + 1, pct_start=0.1, final_div_factor=100.0
        )
        # Whom the first epoch meets stands for all whom a fit on fresh people meets.
        text = repr((spec, config, sizes, train.ids.tolist()))
        self.identity = hashlib.sha256(text.encode()).hexdigest()
        self.met = np.empty(0, np.int64)
        self.epoch, self.stale, self.best_loss = 0, 0, float("inf")
        self.losses: list[float] = []
        self.seconds = 0.0
        self.meet(train)

    def begin_with(self, model: TwinModel) -> None:
        """Begin with the weights of another model, which count as the best so far."""
        given = model.network.state_dict()  # and, maybe, a head that was taught after its fit
        self.network.load_state_dict({name: given[name] for name in self.network.state_dict()})
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.best = {k: v.clone() for k, v in self.average.items()}
        self.best_loss = self._held_out_loss()
        weights = b"".join(v.numpy(force=True).tobytes() for v in self.average.values())
        self.identity = hashlib.sha256(self.identity.encode() + weights).hexdigest()

    def meet(self, train: Dataset) -> None:
        """Learn from these courses from now on."""
        self.train, self.met = train.to(self.device), np.union1d(self.met, train.ids)
        heads = self.network.config.ensemble
        self.bootstrap = _bootstrap_weights(train.ids, self.config.seed, heads).to(self.device)  # (M, N)

    def run_epoch(self, advance: Callable[[], object]) -> None:
        """Train one epoch, average the weights, judge them on the held-out people."""
        began, config = time.process_time(), self.config
        random = np.random.Generator(np.random.Philox(key=config.seed, counter=self.epoch + 1))
        # Everybody comes up once before anybody comes up twice.
        passes = -(-config.batches * self.rows // len(self.train))
        order = np.concatenate([random.permutation(len(self.train)) for _ in range(passes)])
        self.network.train()
        for number in range(config.batches):
            rows = self._here(np.sort(order[number * self.rows : (number + 1) * self.rows]))
            start, late = self._starts(self.train, rows, random, config.late_share)
            batch = crop(self.train, rows, start, self.steps, late)
            scores = log_prob(self.network, batch)  # (M, B, T, D)
            weight, counts = self.bootstrap[:, rows], batch.weight[..., None]  # (M, B), (B, T, 1)
            loss = -((scores * counts).sum((2, 3)) * weight).sum()
            loss = loss / ((batch.present * counts).sum((1, 2)) * weight).sum()
            if config.energy_weight and self.epoch * config.batches + number >= config.energy_from * self._all_steps:
                loss = loss + self._rehearsed(batch, weight, random)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
            self.optimizer.step()
            self.schedule.step()
            with torch.no_grad():
                for name, value in self.network.state_dict().items():
                    self.average[name].lerp_(value, 1.0 - config.ema)
            advance()
        self.epoch += 1
        self.losses.append(self._held_out_loss())
        if self.losses[-1] < self.best_loss - 1e-5:
            self.best_loss, self.stale = self.losses[-1], 0
            self.best = {k: v.clone() for k, v in self.average.items()}
        else:
            self.stale += 1
        self.seconds += time.process_time() - began

    def _rehearsed(self, batch: Dataset, weight: Tensor, random: np.random.Generator) -> Tensor | float:
        """Weighted energy score of paths that a head draws from somewhere in the segments, in a share of all steps."""
        config, width = self.config, batch.target.shape[-1]
        head = int(random.integers(self.network.config.ensemble))
        first = int(random.integers(1, max(self.steps - config.energy_steps, 2)))
        u = random.random((PATHS, len(batch), config.energy_steps, width), dtype=np.float32)
        if random.random() >= config.energy_share:
            return 0.0
        drawn = self._here(u).clamp(1e-6, 1.0 - 1e-6)
        scores = energy_score(self.network, batch, first, config.energy_steps, head, drawn)
        return config.energy_weight * (scores * weight[head]).sum() / weight[head].sum()

    def _starts(
        self, data: Dataset, rows: Tensor, random: np.random.Generator, late_share: float = 0.0
    ) -> tuple[Tensor, Tensor | None]:
        """First tokens of the crops: some at birth, the others anywhere that leaves something to predict.

        Also whom the crops meet late, if any: they begin at any observation that is followed by another.
        """
        length = data.length[rows].numpy(force=True)
        latest = (length - self.steps).clip(min=0)
        start = (random.random(len(rows)) * (latest + 1)).astype(np.int64)
        start[random.random(len(rows)) < self.config.birth_share] = 0
        if not late_share:
            return self._here(start), None
        late = random.random(len(rows)) < late_share
        anywhere = 1 + (random.random(len(rows)) * (length - 1)).astype(np.int64)
        return self._here(np.where(late, anywhere, start)), self._here(late.astype(np.float32))

    def _here(self, array: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        network = self.model(self.average).network.to(self.device)
        random = np.random.Generator(np.random.Philox(key=self.config.seed, counter=0))
        total, count = 0.0, 0.0
        for rows in torch.arange(len(self.held_out), device=self.device).split(64):
            batch = crop(self.held_out, rows, *self._starts(self.held_out, rows, random)[:1], self.steps)
            counts = batch.weight[..., None]
            total -= float((log_prob(network, batch).mean(0) * counts).sum())
            count += float((batch.present * counts).sum())
        return total / count

    def model(self, weights: dict[str, Tensor] | None = None) -> TwinModel:
        """Return a model with these weights, the best so far by default."""
        network = TwinNetwork.untrained(self.spec, self.network.config)
        network.load_state_dict(self.best if weights is None else weights)
        training = {
            "people": len(self.met),
            "held_out_people": len(np.unique(self.held_out.ids)),
            "tokens_per_course": int(self.train.target.shape[1]),
            "epochs": self.epoch,
            "held_out_loss": round(self.best_loss, 6) if np.isfinite(self.best_loss) else None,
            "cpu_seconds": round(self.seconds, 1),
            "config": asdict(self.config),
        }
        return TwinModel(network.eval(), training)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on after a kill."""
        return {
            "identity": self.identity,
            "network": self.network.state_dict(),
            "average": self.average,
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "met": torch.from_numpy(self.met),
            "progress": [self.epoch, self.stale, self.best_loss, self.losses, self.seconds],
        }

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same fit."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise WeightsError(f"{path} cannot be read ({error}); delete it to start the fit afresh.") from error
        if state["identity"] != self.identity:
            raise WeightsError(
                f"{path} is the checkpoint of another fit; delete it to start afresh, or choose another folder."
            )
        self.network.load_state_dict(state["network"])
        self.average, self.best, self.met = state["average"], state["best"], state["met"].numpy(force=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.stale, self.best_loss, self.losses, self.seconds = state["progress"]


def _bootstrap_weights(ids: np.ndarray[Any, np.dtype[np.int64]], seed: int, heads: int) -> Tensor:
    """How often each person is in each head's bootstrap, (M, N): Poisson(1), a function of person and head."""
    u = uniforms(seed, ids, 0, Stream.HEAD, 0, heads).T
    return torch.from_numpy(
        np.searchsorted(np.cumsum(np.exp(-1.0) / np.array([1, 1, 2, 6, 24, 120])), u).astype(np.float32)
    )
