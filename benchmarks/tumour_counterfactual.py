"""How well are courses under other treatments forecast: the published tumour benchmark, with everybody on one table?

``python -m benchmarks.tumour_counterfactual`` fits and scores every model on every gamma and seed, one cell at a time,
and adds each to ``benchmarks/results/tumour_counterfactual.csv``; ``python -m benchmarks.tumour.report`` makes
docs/tumour.md of it. A cell that the table has already is not computed again, so a killed run goes on where it was, and
``--out new.csv`` computes all of them anew. ``--quick`` takes fewer patients, one seed and one gamma: minutes instead
of hours.
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
BASELINE_EPOCHS = 30  # about five CPU minutes: see Cost in docs/tumour.md


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
    device: str = "cpu"
    """Where twin models are fitted, ``cpu`` or ``cuda``; how long that took is noted on a CPU only."""
    runs: Path = Path("runs/tumour")
    """Where fits that were interrupted are kept."""
    out: Path = CELLS
    """Table of all cells; those that it has are not computed again."""
    quick: bool = False
    """A tenth of the patients, one seed, gamma 4, no ablations; written to a table among ``runs``."""


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
    def digest(self) -> str:
        """What tells it from a cell of the same name made by another recipe."""
        recipe = MODELS.get(self.model)
        how = (recipe.spec, recipe.network, recipe.fit) if recipe else (BASELINE_EPOCHS, causal_transformer.TUNED)
        text = repr((_declared(how), self.size, self.paths))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.form}_{self.gamma:g}_{self.seed}_{self.model.replace(' ', '_')}_{self.digest}"

    @property
    def known(self) -> dict[str, str | float]:
        """What its rows of the table begin with; another recipe is another cell."""
        return {"form": self.form, "gamma": self.gamma, "seed": self.seed, "model": self.model, "recipe": self.digest}


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


def compute(cell: Cell, folder: Path, device: str = "cpu") -> pd.DataFrame:
    """Fit and score one cell; return its rows."""
    torch.set_num_threads(1)
    arrays = draw(cell.gamma, cell.seed, original=cell.form == "original", train=cell.size, tested=cell.size // 10)
    tables = []
    forecaster, about = prepared(cell, arrays, folder / cell.name, device)
    for kind, questions in arrays.questions.items():
        mean, sample = forecaster(questions)
        tables.append(scored(questions, mean, sample, cell.paths[1]).assign(kind=kind))
    return pd.concat(tables, ignore_index=True).assign(**cell.known, **about)


Forecaster = Callable[[Questions], tuple[Floats, Callable[[Questions, int], Floats] | None]]


def prepared(cell: Cell, arrays: Arrays, folder: Path, device: str) -> tuple[Forecaster, dict[str, float]]:
    """Return what answers questions, by mean and, if it can, by samples; and what its fit took."""
    if cell.model == "bayes":
        return lambda asked: (bayes.forecast(asked), None), {}
    if cell.model == "persistence":
        return lambda asked: (_last(asked), None), {}
    if cell.model == "causal_transformer":
        baseline = causal_transformer.CausalTransformer(arrays.train, cell.gamma, epochs=BASELINE_EPOCHS)
        count = sum(p.numel() for p in baseline.network.parameters())
        return lambda asked: (baseline.forecast(asked), None), {"fit_seconds": baseline.seconds, "parameters": count}
    model = _fitted(arrays, MODELS[cell.model], folder, device)

    def sample(asked: Questions, paths: int) -> Floats:
        return twin.forecast(model, asked, paths)

    count = sum(p.numel() for p in model.network.parameters())
    took = model.training["cpu_seconds"] if device == "cpu" else float("nan")  # those of baselines are CPU seconds
    about = {"fit_seconds": took, "parameters": count}
    return lambda asked: (_mean(model, asked, cell.paths[0]), sample), about


def _fitted(arrays: Arrays, recipe: twin.Recipe, folder: Path, device: str) -> TwinModel:
    """Fit and save a model, or load the one that an interrupted cell left."""
    if (folder / WEIGHTS).is_file():
        return TwinModel.load(folder, recipe.spec.fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    model = twin.fit(arrays.train, arrays.held_out, recipe, folder, device)
    model.save(folder)
    return model


def _mean(model: TwinModel, asked: Questions, paths: int) -> Floats:
    """Mean forecasts (R, P); one step ahead there is nothing to draw."""
    return twin.forecast(model, asked, paths if asked.lead else 1, mean=True).mean(axis=0, dtype=np.float64)


def _last(asked: Questions) -> Floats:
    return np.repeat(asked.history.size[asked.patient, asked.day][:, None], asked.answer.shape[1], axis=1)


def main(args: Args) -> None:
    """Compute the cells that are missing and add each to the table."""
    wanted = cells(args)
    out = args.runs / "quick.csv" if args.quick else args.out
    everything = list(dict.fromkeys([*cells(Args(paths=args.paths, judged_paths=args.judged_paths)), *wanted]))
    found = there(out, everything)
    missing = [cell for cell in wanted if cell not in found]
    out.parent.mkdir(parents=True, exist_ok=True)
    for cell, rows in track(done(missing, args), "cells", total=len(missing)):
        found[cell] = rows
        whole = pd.concat([found[each] for each in everything if each in found])
        write_atomically(out, whole.to_csv(index=False, float_format="%.6g").encode())
    table = pd.concat([found[cell] for cell in wanted])
    shown = table.pivot_table("rmse", ["form", "model"], ["gamma", "kind", "tau"], sort=False)
    Console(width=250).print(shown.round(3).to_string())


def there(out: Path, defined: list[Cell]) -> dict[Cell, pd.DataFrame]:
    """Return the rows of every cell that a table has; those of recipes that are no more are left out."""
    if not out.is_file():
        return {}
    table = pd.read_csv(out, dtype={"recipe": str})
    rows = dict(iter(table.groupby(list(defined[0].known))))
    return {cell: rows[key] for cell in defined if (key := tuple(cell.known.values())) in rows}


def done(missing: list[Cell], args: Args) -> Iterable[tuple[Cell, pd.DataFrame]]:
    """Compute cells, several at a time if asked for."""
    if args.workers == 1:
        yield from ((cell, compute(cell, args.runs, args.device)) for cell in missing)
        return
    with ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(compute, cell, args.runs, args.device): cell for cell in missing}
        for finished in as_completed(waiting):
            yield waiting[finished], finished.result()


if __name__ == "__main__":
    main(tyro.cli(Args))
