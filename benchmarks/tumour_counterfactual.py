"""How well are courses under other treatments forecast: the published tumour benchmark, with everybody on one table?

``python -m benchmarks.tumour_counterfactual`` fits and scores every model on every gamma and seed, one cell at a time,
and writes ``benchmarks/results/tumour_counterfactual.csv``; ``python -m benchmarks.tumour.report`` makes docs/tumour.md
of it. A cell that is there already is not computed again, so a killed run goes on where it was. ``--quick`` takes fewer
patients, one seed and one gamma: minutes instead of hours.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields, is_dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro
from rich.console import Console
from rich.progress import track

from benchmarks.tumour import bayes, causal_transformer, twin
from benchmarks.tumour.arrays import Arrays, draw
from benchmarks.tumour.counterfactuals import Questions
from benchmarks.tumour.recipes import ABLATIONS, MODELS
from benchmarks.tumour.report import CELLS
from benchmarks.tumour.scores import scored
from benchmarks.tumour.simulator import Floats
from twingym.twins import TwinModel
from twingym.twins.model import WEIGHTS, write_atomically

SEEDS = (10, 101, 1010, 10101, 101010)
BASELINE_EPOCHS = 30  # in less than five CPU minutes


@dataclass
class Args:
    """Run the tumour benchmark."""

    gammas: tuple[float, ...] = (4.0, 2.0, 0.0)
    """Confounding."""
    seeds: tuple[int, ...] = SEEDS
    """Seeds of patients."""
    models: tuple[str, ...] = ("twin", "bayes", "persistence", "causal_transformer", "gru", "mlp")
    """Whose forecasts are scored."""
    cleaned_seeds: tuple[int, ...] = SEEDS[:2]
    """Seeds of the same without the quirks of the published data, at gamma 4."""
    ablation_seeds: tuple[int, ...] = SEEDS[:2]
    """Seeds of the ablations, at gamma 4 in the original form."""
    paths: int = 4
    """Paths behind a mean forecast."""
    judged_paths: int = 64
    """Paths behind intervals and CRPS."""
    workers: int = 1
    """Cells computed at a time, one thread each."""
    runs: Path = Path("runs/tumour")
    """Where cells are kept."""
    out: Path = CELLS
    """Table of all cells."""
    quick: bool = False
    """A tenth of the patients, one seed, gamma 4, no ablations; kept apart from the real cells, not written down."""


@dataclass(frozen=True)
class Cell:
    """One model on one set of patients.

    Attributes:
        form: ``original`` or ``cleaned``.
        gamma: Confounding.
        seed: Of the patients.
        model: Whose forecasts.
        size: Patients to learn from; a tenth of them are asked about.
        paths: Paths behind means, and behind distributions.
    """

    form: str
    gamma: float
    seed: int
    model: str
    size: int
    paths: tuple[int, int]

    @property
    def name(self) -> str:
        """File name; another recipe is another cell."""
        recipe = MODELS.get(self.model)
        how = (recipe.spec, recipe.network, recipe.fit) if recipe else (BASELINE_EPOCHS, causal_transformer.TUNED)
        text = repr((_declared(how), self.size, self.paths))
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.form}_{self.gamma:g}_{self.seed}_{self.model.replace(' ', '_')}_{digest}"


def _declared(value: object) -> object:
    """Return what of a recipe differs from its defaults: a setting that is added later makes no other cell."""
    if isinstance(value, tuple):
        return [_declared(each) for each in value]
    if not is_dataclass(value):
        return value
    found = {f.name: getattr(value, f.name) for f in fields(value)}
    return {f.name: _declared(found[f.name]) for f in fields(value) if found[f.name] != f.default}


def cells(args: Args) -> list[Cell]:
    """Return what is to be computed, the headline first."""
    if args.quick:
        wanted = list(product(("original",), args.gammas[:1], args.seeds[:1], args.models))
    else:
        wanted = list(product(("original",), args.gammas, args.seeds, args.models))
        wanted += product(("original",), (4.0,), args.ablation_seeds, ABLATIONS)
        wanted += product(("cleaned",), (4.0,), args.cleaned_seeds, args.models)
    size = 1_000 if args.quick else 10_000
    return [Cell(*each, size, (args.paths, args.judged_paths)) for each in wanted]


def compute(cell: Cell, folder: Path) -> Path:
    """Fit and score one cell unless it is there; return its file."""
    path = folder / f"{cell.name}.csv"
    if path.is_file():
        return path
    torch.set_num_threads(1)
    arrays = draw(cell.gamma, cell.seed, original=cell.form == "original", train=cell.size, tested=cell.size // 10)
    tables = []
    forecaster, about = prepared(cell, arrays, folder / cell.name)
    for kind, questions in arrays.questions.items():
        mean, sample = forecaster(questions)
        tables.append(scored(questions, mean, sample, cell.paths[1]).assign(kind=kind))
    known = {"form": cell.form, "gamma": cell.gamma, "seed": cell.seed, "model": cell.model}
    table = pd.concat(tables, ignore_index=True).assign(**known, **about)
    write_atomically(path, table.to_csv(index=False, float_format="%.6g").encode())
    return path


Forecaster = Callable[[Questions], tuple[Floats, Callable[[Questions, int], Floats] | None]]


def prepared(cell: Cell, arrays: Arrays, folder: Path) -> tuple[Forecaster, dict[str, float]]:
    """Return what answers questions, by mean and, if it can, by samples; and what its fit took."""
    if cell.model == "bayes":
        return lambda asked: (bayes.forecast(asked), None), {}
    if cell.model == "persistence":
        return lambda asked: (_last(asked), None), {}
    if cell.model == "causal_transformer":
        baseline = causal_transformer.CausalTransformer(arrays.train, cell.gamma, epochs=BASELINE_EPOCHS)
        count = sum(p.numel() for p in baseline.network.parameters())
        return lambda asked: (baseline.forecast(asked), None), {"fit_seconds": baseline.seconds, "parameters": count}
    model = _fitted(arrays, MODELS[cell.model], folder)

    def sample(asked: Questions, paths: int) -> Floats:
        return twin.forecast(model, asked, paths)

    count = sum(p.numel() for p in model.network.parameters())
    about = {"fit_seconds": model.training["cpu_seconds"], "parameters": count}
    return lambda asked: (_mean(model, asked, cell.paths[0]), sample), about


def _fitted(arrays: Arrays, recipe: twin.Recipe, folder: Path) -> TwinModel:
    """Fit and save a model, or load the one that an interrupted cell left."""
    if (folder / WEIGHTS).is_file():
        return TwinModel.load(folder, recipe.spec.fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    model = twin.fit(arrays.train, arrays.held_out, recipe, folder)
    model.save(folder)
    return model


def _mean(model: TwinModel, asked: Questions, paths: int) -> Floats:
    """Mean forecasts (R, P); one step ahead there is nothing to draw."""
    return twin.forecast(model, asked, paths if asked.lead else 1, mean=True).mean(axis=0, dtype=np.float64)


def _last(asked: Questions) -> Floats:
    return np.repeat(asked.history.size[asked.patient, asked.day][:, None], asked.answer.shape[1], axis=1)


def main(args: Args) -> None:
    """Compute all cells and write their table."""
    wanted, folder = cells(args), args.runs / ("quick" if args.quick else "cells")
    folder.mkdir(parents=True, exist_ok=True)
    for _ in track(done(wanted, folder, args.workers), "cells", total=len(wanted)):
        pass
    table = pd.concat([pd.read_csv(folder / f"{cell.name}.csv") for cell in wanted], ignore_index=True)
    if not args.quick:
        write_atomically(args.out, table.to_csv(index=False, float_format="%.6g").encode())
    shown = table.pivot_table("rmse", ["form", "model"], ["gamma", "kind", "tau"], sort=False)
    Console(width=250).print(shown.round(3).to_string())


def done(wanted: list[Cell], folder: Path, workers: int) -> Iterable[Path]:
    """Compute the cells, several at a time if asked for."""
    if workers == 1:
        yield from (compute(cell, folder) for cell in wanted)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for finished in as_completed([pool.submit(compute, cell, folder) for cell in wanted]):
            yield finished.result()


if __name__ == "__main__":
    main(tyro.cli(Args))
