"""`twingym fit`: fit a twin model to courses of the reference or of a table, and say how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from twingym.envs.behaviour import collect
from twingym.envs.dynamics import CHALLENGER
from twingym.evaluation.cards.model_card import CARD, read_card, withdraw_card, write_card
from twingym.evaluation.cards.replacement import clearly_worse, less_likely, lost_bars, paired_skill, worse_on_recorded
from twingym.experiments.card import judged
from twingym.experiments.cli import run_module
from twingym.experiments.fit_recorded import BACKBONE, fit_recorded, judged_recorded, lacks_challenger, said_of
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins.cohort import MAX_ID, Ids, Split, people
from twingym.twins.courses import Courses
from twingym.twins.device import usable_device
from twingym.twins.errors import RunExistsError, SpecError, WeightsError
from twingym.twins.fit import fit_twin
from twingym.twins.fit_config import FitConfig
from twingym.twins.model import WEIGHTS, TwinModel

REFUSED = "refused"  # where a model is kept that was worse than the one it was to replace
STEPS = 3_500_000  # of long courses
MOST_HELD_OUT = 2_000  # people; they are judged after every epoch
JUDGED = 300  # people whom an old and a new model are compared on, where no plan says otherwise
OTHERS = MAX_ID // 2  # from here on live the people of challengers: no fit of a twin model meets so many


@dataclass
class Args:
    """Fit a scenario's twin model."""

    env: str
    """Scenario id, or path of a scenario file."""
    out: Path | None = None
    """Folder for weights and card; default: the scenario's own."""
    people: int = 0
    """People of the train split; default: enough for 3.5 million steps or, where a course fits into one segment
    and so is spent after one look, new people in every epoch."""
    held_out: int = 0
    """People of the validation split, who decide when to stop; default: a twelfth as many, at most 2,000."""
    horizon: int = 0
    """Steps per course; default: two training episodes, or one where the problem ends there."""
    epochs: int | None = None
    """At most this many epochs; this and the following by default as the scenario's ``fit`` says."""
    batches: int | None = None
    """Gradient steps per epoch."""
    batch_tokens: int | None = None
    """Tokens per gradient step."""
    ema: float | None = None
    """Decay of the averaged weights per gradient step."""
    seed: int | None = None
    """Seed of courses, initial weights and crops."""
    threads: int | None = None
    """Torch threads; more than one only pays on idle cores."""
    device: str = "cpu"
    """Torch device of the fit: ``cpu`` or ``cuda``."""
    replace: bool = False
    """Replace weights that are there already."""
    challenger: Literal["gru", "mlp"] | None = None
    """Fit a second judge instead: this backbone, on other people, into the folder's ``challenger``. On a table it is
    fitted before the twin model, if there is none."""
    even_if_worse: bool = False
    """Replace them by a model that misses bars which the old one cleared, or forecasts clearly worse."""
    card: bool = True
    """Judge the model afterwards and write its card."""


def fit(args: Args) -> TwinModel:
    """Fit, save and judge a twin model.

    Raises:
        RunExistsError: If weights exist and ``replace`` was not asked for.
        SpecError: If the device is not there, or the new model is worse than the one that it was to replace; it is
            kept aside.
    """
    usable_device(args.device)
    scenario, console = get(args.env), Console()
    if args.challenger == scenario.network.backbone:
        own = f"the backbone of the twin model of {scenario.id} itself"
        raise SpecError(f"challenger is {args.challenger!r}, {own}; allowed: another backbone.")
    folder = args.out or weights_folder(scenario)
    folder = folder / CHALLENGER if args.challenger else folder
    if (folder / WEIGHTS).exists() and not args.replace:
        raise RunExistsError(
            f"{folder} holds a twin model already; pass --replace to fit it again, or --out for another folder."
        )
    config, previous = settings(args, scenario), standing(folder, scenario)
    recorded = scenario.recorded
    if recorded is not None and not args.challenger and lacks_challenger(folder):
        other = "mlp" if scenario.network.backbone == BACKBONE else BACKBONE
        fit(replace(args, challenger=other))  # the card asks it
    try:
        if recorded is not None:
            console.print(said_of(recorded.described()))
            model = fit_recorded(
                scenario, config, folder, challenger=args.challenger, device=args.device, progress=True
            )
        else:
            model = fit_simulated(args, scenario, config, folder, console)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"the same command goes on after the last whole epoch, kept in {folder}") from stop
    content, text = None, None
    if args.card and not args.challenger:
        if recorded is not None:
            content, text = judged_recorded(scenario, model, folder, console)
        elif scenario.reference is not None and scenario.fidelity is not None:
            content = judged(scenario, model, console)
    against = [] if previous is None or args.even_if_worse else objections(scenario, previous, model, folder, content)
    place = free_folder(folder / REFUSED) if against else folder
    model.save(place)
    if content is not None:
        write_card(place, content, text)
    elif withdraw_card(place):
        console.print(f"removed: the card in {place}, which was that of the old model; `twingym card` writes another")
    if against:
        raise SpecError(
            f"the new twin model stays out of {folder}: {'; '.join(against)}. It is kept in {place}; pass "
            "--even-if-worse to replace the old one all the same."
        )
    console.print(f"weights: {folder} ({model.training['cpu_seconds']:.0f} CPU seconds)")
    return model


def fit_simulated(args: Args, scenario: Scenario, config: FitConfig, folder: Path, console: Console) -> TwinModel:
    """Fit a twin model to courses of the reference, recorded as they are needed; it is not saved."""
    horizon = args.horizon or scenario.horizon * (1 if scenario.ending == "end" else 2)
    network = replace(scenario.network, backbone=args.challenger) if args.challenger else scenario.network
    spec = scenario.twin_spec()
    rows, tokens = config.shape(horizon + 1, spec)
    per_epoch = config.batches * rows if tokens == horizon + 1 else 0  # new people, if any
    learners = others("train", args.people or (config.epochs * per_epoch or -(-STEPS // horizon)), args.challenger)
    held_out = others("validation", args.held_out or min(-(-len(learners) // 12), MOST_HELD_OUT), args.challenger)

    def record(ids: Ids) -> Courses:
        return collect(scenario, ids, config.seed, horizon=horizon)

    def newcomers(epoch: int) -> Courses:
        return record(np.take(learners, np.arange(epoch * per_epoch, (epoch + 1) * per_epoch), mode="wrap"))

    console.print(
        f"recording {len(learners) + len(held_out)} courses of {horizon} steps "
        f"under {', '.join(scenario.behaviour)}{' as they are needed' if per_epoch else ''}"
    )
    source = record(held_out if per_epoch else np.concatenate([learners, held_out]))
    with ThreadPoolExecutor(max_workers=1) as other:
        fresh = one_ahead(newcomers, config.epochs, other) if per_epoch else None
        return fit_twin(source, spec, folder, config, network, fresh=fresh, device=args.device, progress=True)


def standing(folder: Path, scenario: Scenario) -> TwinModel | None:
    """Return the model that is to be replaced; None if there is none that people of this world could move by."""
    try:
        return TwinModel.load(folder, scenario.world_fingerprint())
    except WeightsError:
        return None


def objections(
    scenario: Scenario, old: TwinModel, new: TwinModel, folder: Path, content: Mapping[str, Any] | None
) -> list[str]:
    """Return why a new model should not take the place of the old one in ``folder``; nothing can be said unjudged."""
    if scenario.recorded is not None:
        return worse_on_recorded(scenario, old, new)
    if scenario.reference is None:
        return []
    if scenario.fidelity is None:
        unmet = collect(scenario, people("test", JUDGED), new.training["config"]["seed"], horizon=scenario.horizon)
        return less_likely(old, new, unmet.filled())
    found = clearly_worse(paired_skill(scenario, scenario.fidelity, old, new))
    if content is not None and (folder / CARD).is_file():
        found = lost_bars(read_card(folder), content) + found
    return found


def free_folder(folder: Path) -> Path:
    """Return ``folder``, or the first of it with a number that does not exist."""
    numbered = (folder.with_name(f"{folder.name}_{n}") for n in count(2))
    return next(path for path in chain([folder], numbered) if not path.exists())


def others(split: Split, number: int, challenger: str | None) -> Ids:
    """Return the first people of a split, or, for a challenger, of those whom no twin model meets."""
    return people(split, number, start=OTHERS if challenger else 0)


def settings(args: Args, scenario: Scenario) -> FitConfig:
    """Return how to fit: as the scenario says, but for what was asked for."""
    asked = {name: getattr(args, name) for name in ("epochs", "batches", "batch_tokens", "ema", "seed", "threads")}
    return replace(scenario.fit, **{name: value for name, value in asked.items() if value is not None})


def one_ahead(record: Callable[[int], Courses], epochs: int, other: ThreadPoolExecutor) -> Callable[[int], Courses]:
    """Let the ``other`` thread record the courses of the next of ``epochs`` while those of one are learned from."""
    waiting: dict[int, Future[Courses]] = {}

    def recorded(epoch: int) -> Courses:
        this = waiting.pop(epoch, None) or other.submit(record, epoch)
        if epoch + 1 < epochs:
            waiting[epoch + 1] = other.submit(record, epoch + 1)
        return this.result()

    return recorded


def run(args: Args) -> None:
    """Do what ``twingym fit`` asks for."""
    fit(args)


if __name__ == "__main__":
    run_module(__file__)
