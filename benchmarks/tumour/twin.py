"""How does a twin model answer the benchmark's questions: declared, fitted and rolled out like that of any scenario.

The volume is declared on a log scale, so that the heads predict growth relative to today's volume. Fitting knows
nothing else of the equations. A plan is forecast as anything is on twins: step by step, by sampled paths.

Legend of shapes: N = patients, T = days, R = questions, P = days of a plan, S = paths, H = days ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import qmc

from benchmarks.tumour.counterfactuals import Questions
from benchmarks.tumour.simulator import CHEMO_DOSE, DAYS, LARGEST, RADIO_DOSE, Floats, Recorded
from twingym.twins import Courses, TwinModel, Variable, fit_twin, people
from twingym.twins.cohort import Cohort, Ids
from twingym.twins.fit_config import FitConfig
from twingym.twins.spec import TwinSpec
from twingym.twins.transformer_config import TransformerConfig

AT_ONCE = 20_000  # people in one batch
SMALLEST = 1e-3  # cm^3, a tenth of the smallest tumour at diagnosis: nothing smaller is told apart
VOLUME = Variable("volume", "cm3", SMALLEST, LARGEST, scale="log", change=0.0143, relative=True)
KIND = Variable("kind", kind="categorical", levels=("radio", "neither", "chemo"))
DOSES = (Variable("chemo", "mg/m3", 0.0, CHEMO_DOSE), Variable("radio", "Gy", 0.0, RADIO_DOSE))
SPEC = TwinSpec((KIND,), (VOLUME,), (), DOSES, {}, DAYS, "tumour")
NETWORK = TransformerConfig()
FIT = FitConfig(epochs=20, batches=80, batch_tokens=7680, late_share=0.8, ema=0.99)


@dataclass(frozen=True)
class Recipe:
    """What is fitted and how; ablations change one thing.

    Attributes:
        spec: Declarations.
        network: Sizes.
        fit: How it is trained.
    """

    spec: TwinSpec = SPEC
    network: TransformerConfig = NETWORK
    fit: FitConfig = FIT


def courses(recorded: Recorded, ids: Ids, spec: TwinSpec = SPEC) -> Courses:
    """Return recorded patients as courses of a twin model; an input, if declared, is the number of the day."""
    there = np.arange(DAYS) <= recorded.steps[:, None]
    delivered = np.stack([CHEMO_DOSE * recorded.chemo, RADIO_DOSE * recorded.radio], axis=-1)[:, :-1]
    n = len(ids)
    return Courses(
        ids,
        {KIND.name: recorded.kind - 1.0},
        np.where(there, recorded.size, np.nan)[..., None],
        delivered,
        _days(n, spec),
        np.full((n, DAYS - 1), np.nan),
        recorded.steps,
    )


def _days(count: int, spec: TwinSpec) -> Floats:
    """Inputs (N, T, 0 or 1) of ``count`` people."""
    return np.repeat(np.arange(DAYS, dtype=np.float64)[None, :, None], count, axis=0)[..., : len(spec.inputs)]


def fit(train: Recorded, held_out: Recorded, recipe: Recipe, folder: Path | None, device: str = "cpu") -> TwinModel:
    """Fit a twin model to recorded patients; those held out decide when to stop."""
    ids = np.concatenate([people("train", len(train.steps)), people("validation", len(held_out.steps))])
    source = courses(train.join(held_out), ids, recipe.spec)
    return fit_twin(source, recipe.spec, folder, recipe.fit, recipe.network, device=device)


def expected(model: TwinModel, means: Floats, before: Floats) -> Floats:
    """Return mean volumes (N,), over all heads, after volumes ``before`` (N,), cm^3.

    Growth, or the change on a linear scale, is what the heads average; (M, N, 1) in typical changes.
    """
    variable, change = model.spec.modelled[0], means.mean(axis=0)[:, 0]
    change = change * variable.unit_change
    if variable.relative:
        return np.asarray(before * (1.0 + 0.5 * variable.scaling.log_span * change))
    return np.asarray(before + 0.5 * (variable.high - variable.low) * change)


def forecast(model: TwinModel, questions: Questions, paths: int, *, mean: bool = False) -> Floats:
    """Sample volumes on the day after each of the plan's, (S, R, P), cm^3.

    Patients are followed day by day as they were recorded; from each day that is asked about, copies of them go on.
    Every path is bound to one ensemble head and has luck of its own, the same for all patients: points that fill the
    cube evenly, so that few paths tell the mean.

    Args:
        model: The fitted model.
        questions: What is asked, R questions.
        paths: S.
        mean: Whether to return what the model expects at the end of each step of a path, instead of what it drew: with
            the same mean over paths, and less luck in it.
    """
    dynamics = model.dynamics()
    known = courses(questions.history, np.arange(len(questions.history.steps)), model.spec)
    n, days = len(known), questions.doses.shape[1]
    amounts, inputs = questions.doses * [CHEMO_DOSE, RADIO_DOSE], known.inputs
    # What decides on the head is a dimension of its own: paths of one head must not all have low luck.
    drawn = qmc.Sobol(days + 1, rng=1).random(paths)
    luck, heads = drawn[:, :-1], (drawn[:, -1] * dynamics.heads).astype(np.intp)  # (S, H), (S,)
    noise = np.full((n, dynamics.noise_width), 0.5)
    found = np.empty((paths, len(questions), days - questions.lead), dtype=np.float32)
    state, _ = dynamics.initial(Cohort(known.ids, dict(known.traits)), inputs[:, 0], noise)
    by_day = np.split(np.argsort(questions.day, kind="stable"), np.searchsorted(np.sort(questions.day), range(1, DAYS)))
    for day, rows in enumerate(by_day[:-1]):
        state = dynamics.observe(state, known.observed[:, day])
        for few in np.array_split(rows, -(-len(rows) * paths // AT_ONCE)) if len(rows) else ():
            here = dynamics.take(state, np.tile(questions.patient[few], paths))
            here = dynamics.bind(here, np.repeat(heads, len(few)))
            seen = known.observed[np.tile(questions.patient[few], paths), day]
            for ahead in range(days):
                u = np.repeat(luck[:, ahead], len(few))[:, None].repeat(dynamics.noise_width, axis=1)
                # Whoever is asked about days beyond the last recorded one stays at its number.
                now = np.broadcast_to(inputs[:1, min(day + ahead, DAYS - 1)], (len(u), inputs.shape[-1]))
                before = seen
                here, seen = dynamics.step(here, np.tile(amounts[few, ahead], (paths, 1)), now, u)
                if ahead >= questions.lead:
                    volume = expected(model, dynamics.means(here), before[:, 0]) if mean else seen[:, 0]
                    found[:, few, ahead - questions.lead] = volume.reshape(paths, -1)
        state, _ = dynamics.step(state, known.delivered[:, min(day, DAYS - 2)], inputs[:, day], noise)
    return found
