"""`twingym refit`: fold outcomes of interventions back into a twin model, and say whether it is better for it.

The courses are a CSV file (what was observed, delivered and taken in, a row per person and time), or what comes back
when the policy of a run is used on simulated people, where the reference stands for the world. The new weights and a
card of before and after go into a run folder; nothing is replaced unless `--replace` is given and nothing speaks
against it.

What it can not do: people of all three splits are needed, by a hash of their number, some thirty at least and better
hundreds. A policy that always does the same in the same place shows nothing of what else would have done, and a model
that learns from its courses alone may forget: so a new model is held against the old one on people of the reference
too, where there is one, and is kept out if it forecasts them clearly worse. Without a reference only the courses
speak.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from twingym.evaluation.cards.model_card import CARD, withdraw_card
from twingym.evaluation.cards.model_card import PAGE as CARD_PAGE
from twingym.evaluation.cards.replacement import clearly_worse, paired_skill
from twingym.evaluation.caveat import caveat
from twingym.evaluation.deployment import courses_under
from twingym.experiments.cli import STOPPED, run_module
from twingym.experiments.console import console
from twingym.experiments.judging import policy_of
from twingym.experiments.run_dir import RunDir, describe, free_path, plain, scenario_of, sha256
from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.table.courses import read_courses
from twingym.scenarios.weights import weights_folder
from twingym.twins.cohort import Split, people
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError
from twingym.twins.fit_config import FitConfig
from twingym.twins.model import DESCRIPTION, TwinModel, digest
from twingym.twins.refit import NEEDED, Refit, check_splits, compared
from twingym.twins.refit import refit as go_on

VERB = "refit"
AFTER, BEFORE, JSON_CARD, PAGE = "twin", "before", "refit.json", "refit.md"
OTHERS = 2**30  # simulated people are counted from here: not those who were learned from or judged on before
SHARES: Mapping[Split, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
Skill = Mapping[str, tuple[float, float, float]]  # by horizon, with its 95 % interval
_PATHS = ("courses", "run", "weights", "log_folder", "out")


@dataclass(frozen=True)
class Args:
    """Let a twin model learn from what came back."""

    courses: Path | None = None
    """CSV file of recorded courses, of people of all three splits."""
    run: Path | None = None
    """Run of a trained policy, which then treats simulated people, instead of a file."""
    env: str | None = None
    """Scenario of the file: an id, or the path of its file; default: Glucose-v0. A run knows its own."""
    people: int = 300
    """Simulated people whom the policy of the run treats."""
    horizon: int | None = None
    """Steps that they are treated for; by default a training episode."""
    weights: Path | None = None
    """Folder of the twin model that goes on learning, if not the scenario's own."""
    epochs: int = 10
    """At most this many epochs; the people of the validation split stop it."""
    batches: int = 30
    """Gradient steps per epoch."""
    batch_tokens: int | None = None
    """Tokens per gradient step; by default as the scenario's ``fit`` says."""
    learning_rate: float = 5e-4
    """Peak of the schedule; lower than for a first fit, since there is something to lose."""
    seed: int = 0
    """Of crops, and of the luck of simulated people."""
    threads: int = 1
    """Torch threads."""
    replace: bool = False
    """Put the new model in the place of the old one, if nothing speaks against it."""
    resume: Path | None = None
    """Run to go on with after it was stopped; all settings are read from it."""
    log_folder: Path = Path("runs")
    """Where runs are kept; this one becomes <log-folder>/refit/<scenario>_<n>."""
    out: Path | None = None
    """Folder of this run, if it is to have another name; it must not exist."""
    progress: bool = True
    """Show a progress bar."""


def run(args: Args) -> int:
    """Learn, compare, write, and replace if asked; return the exit status.

    Raises:
        SpecError: If something is wrong with the courses, or something speaks against the replacement asked for.
        WeightsError: If the model is missing, corrupt or foreign.
    """
    page, folder = console(), None
    if args.resume is not None:
        folder, args = stopped_run(args.resume)
    scenario = scenario_of_courses(args)
    home = args.weights or weights_folder(scenario)
    before = TwinModel.load(home, scenario.world_fingerprint())
    origin = {"twin_sha256": digest(home), "courses_sha256": None if args.courses is None else sha256(args.courses)}
    if folder is not None:
        unchanged(folder, origin)
    courses = recorded(args, scenario)
    check_splits(courses)
    if folder is None:
        path = args.out or free_path(args.log_folder, VERB, scenario.id)
        folder = RunDir.create(path, {"verb": VERB, "args": plain(args), **describe(scenario), **origin})
    page.print(f"run: {folder.path}")
    try:
        found = learned(args, scenario, before, courses, folder, origin)
        skill = on_reference(scenario, found, page)
        against = objections(found, skill)
        folder.write(JSON_CARD, json.dumps(card(found, courses, skill, against, origin), indent=1) + "\n")
        folder.write(PAGE, f"# {scenario.id}: refit\n\n{found.card()}\n{in_words(against)}\n\n{caveat(scenario)}\n")
    except KeyboardInterrupt:
        page.print(f"stopped; go on with: twingym refit --resume {folder.path}", style="bold")
        return STOPPED
    page.print(found.card())
    page.print(in_words(against))
    if args.replace and not against:
        keep(before, home, folder)
    folder.seal()
    if args.replace and not against:
        put_in_place(found.after, home, folder, page)
    page.print(f"weights and card of before and after: {folder.path}")
    page.print(caveat(scenario))
    if args.replace and against:
        kept = folder.path / AFTER
        raise SpecError(f"the new model stays out of {home}: {'; '.join(against)}. It is kept in {kept}.")
    return 0


def scenario_of_courses(args: Args) -> Scenario:
    """Return the scenario, of the file or of the run.

    Raises:
        SpecError: If there is neither, both, or the run's scenario has changed.
    """
    if (args.courses is None) == (args.run is None):
        raise SpecError(f"courses is {args.courses}, run is {args.run}; allowed: one of the two.")
    if args.run is None:
        return registry.get(args.env or "twingym/Glucose-v0")
    if args.env is not None:
        raise SpecError(f"env is {args.env!r}, but a run knows its own scenario; leave env out.")
    return scenario_of(RunDir.open(args.run).config)


def recorded(args: Args, scenario: Scenario) -> Courses:
    """Return the courses of the file, or those that come back from simulated people.

    Raises:
        SpecError: If the file is wrong, or no reference can stand for the world.
    """
    if args.courses is not None:
        return read_courses(scenario, args.courses, going_on=False)
    assert args.run is not None
    if scenario.reference is None:
        raise SpecError(f"scenario {scenario.id!r} has no reference to stand for the world; record --courses.")
    counts = {split: max(NEEDED[split], round(share * args.people)) for split, share in SHARES.items()}
    ids = np.concatenate([people(split, count, OTHERS) for split, count in counts.items()])
    policy = policy_of(RunDir.open(args.run), scenario)
    return courses_under(policy, scenario, ids, args.seed, args.horizon)


def learned(
    args: Args, scenario: Scenario, before: TwinModel, courses: Courses, folder: RunDir, origin: Mapping[str, Any]
) -> Refit:
    """Learn, save the new model in the run, and compare; what a run did already is not done again."""
    place = folder.path / AFTER
    if not (place / DESCRIPTION).is_file():  # written last
        after = go_on(before, courses, settings(args, scenario), folder=place, progress=args.progress).after
        TwinModel(after.network, {**after.training, "refit_of": origin["twin_sha256"]}).save(place)
    return compared(before, TwinModel.load(place, scenario.world_fingerprint()), courses)


def settings(args: Args, scenario: Scenario) -> FitConfig:
    """Return how to learn: as the scenario says, but briefly; nobody knows the propensities of a table."""
    return replace(
        scenario.fit,
        epochs=args.epochs,
        batches=args.batches,
        batch_tokens=args.batch_tokens or scenario.fit.batch_tokens,
        learning_rate=args.learning_rate,
        propensity_weighting=0,
        seed=args.seed,
        threads=args.threads,
    )


def on_reference(scenario: Scenario, found: Refit, page: Console) -> Skill:
    """Return the new model's skill over the old one on people of the reference, by horizon; nothing without a plan."""
    if scenario.reference is None or scenario.fidelity is None or learned_nothing(found):
        return {}
    with page.status("comparing on people of the reference"):
        return paired_skill(scenario, scenario.fidelity, found.before, found.after)


def learned_nothing(found: Refit) -> bool:
    """Whether both models say the same of everybody held out."""
    return bool((found.loss[0] == found.loss[1]).all())


def objections(found: Refit, skill: Skill) -> list[str]:
    """Return what speaks against the new model, in words."""
    if learned_nothing(found):
        return ["nothing was learned: no epoch was better on the people of the validation split"]
    gain, low, high = found.gain
    worse = f"held-out people of the courses are foretold worse, by {-gain:.4f} ({-high:.4f} to {-low:.4f})"
    return ([worse] if gain < 0.0 else []) + clearly_worse(skill)


def card(found: Refit, courses: Courses, skill: Skill, against: list[str], origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return before and after as JSON holds them; skill is null where no forecast could be compared."""
    gain, low, high = found.gain
    return {
        "courses": len(courses),
        "steps": int(courses.length.sum()),
        "held_out_people": found.loss.shape[1],
        "loss_before": float(found.loss[0].mean()),
        "loss_after": float(found.loss[1].mean()),
        "gain": [gain, low, high],
        "verdict": found.verdict,
        "skill_on_reference": {label: list(told) if np.isfinite(told).all() else None for label, told in skill.items()},
        "against": against,
        "training": found.after.training,
        **origin,
    }


def in_words(against: list[str]) -> str:
    """Return what speaks against a replacement as a sentence."""
    return f"Against the new model: {'; '.join(against)}." if against else "Nothing speaks against the new model."


def keep(before: TwinModel, home: Path, folder: RunDir) -> None:
    """Keep the old model in the run, with its card if it has one."""
    before.save(folder.path / BEFORE)
    for name in (CARD, CARD_PAGE):
        if (home / name).is_file():
            shutil.copy2(home / name, folder.path / BEFORE / name)


def put_in_place(after: TwinModel, home: Path, folder: RunDir, page: Console) -> None:
    """Replace the model in ``home``; the card of the old one does not stay beside the new weights."""
    withdrawn = withdraw_card(home)
    after.save(home)
    page.print(f"replaced: {home}; the old model is kept in {folder.path / BEFORE}")
    if withdrawn:
        page.print(
            f"its card was that of the old model and is kept there too: {home} has none until `twingym card` writes it"
        )


def stopped_run(path: Path) -> tuple[RunDir, Args]:
    """Return a refit that was stopped, and what it had been asked for.

    Raises:
        SpecError: If it is no refit, or finished.
    """
    folder, kept = RunDir.stopped(path, VERB, "refit", _PATHS, "begin another refit")
    return folder, Args(**{**kept, "resume": None})


def unchanged(folder: RunDir, origin: Mapping[str, Any]) -> None:
    """Refuse to go on from another model, or on other courses, than a refit began with.

    Raises:
        SpecError: Naming what differs.
    """
    for name, value in origin.items():
        if value != folder.config.get(name):
            raise SpecError(
                f"{folder.path} began with {name} {folder.config.get(name)}, which is now {value}. Restore the file, "
                "or begin another refit."
            )


if __name__ == "__main__":
    run_module(__file__)
