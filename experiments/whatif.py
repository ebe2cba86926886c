"""What may become of one recorded person under several policies: a table, and predicted courses with bands and limits.

Beside it stands whether the model fits the person's course so far, by a test that may be looked at any time.

The person is a CSV file with a row per time; `--example person.csv` writes one to try it with.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from twingym.envs.behaviour import collect
from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.caveat import caveat
from twingym.evaluation.fidelity.drift_watch import DRIFTED, fit_so_far
from twingym.evaluation.futures_plot import plot_futures
from twingym.evaluation.personal import Futures, personalise
from twingym.evaluation.rollout import Policy, check_numbers
from twingym.experiments.cli import run_module
from twingym.experiments.compare import by_name, scenario_in_common
from twingym.experiments.console import console, table
from twingym.experiments.judging import policy_of
from twingym.experiments.reading_flags import errors
from twingym.experiments.run_dir import CONFIG, RunDir, describe, free_path, plain
from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.table.courses import course_frame
from twingym.twins.cohort import people
from twingym.twins.errors import RunExistsError, SpecError
from twingym.twins.model import write_atomically

VERB = "whatif"
MOST_DRAWN = 8  # people, a picture each


@dataclass(frozen=True)
class Args:
    """Let a recorded person go on under several policies."""

    person: Path | None = None
    """CSV file of the person's course so far; several people have a column `person`."""
    policies: tuple[str, ...] = ()
    """Rules of the scenario, and folders of runs of trained policies; the scenario's baseline if none is named."""
    env: str = "twingym/Glucose-v0"
    """Scenario: an id, or the path of its file."""
    error: tuple[str, ...] = ()
    """Standard deviations of errors of the recorded readings, in the variable's unit, such as cgm:15; of what has
    levels the chance that another one was read. Futures then go on from what may truly have been."""
    alpha: float = 0.05
    """Chance of saying of somebody whom the model fits that it does not."""
    steps: int | None = None
    """How far the futures go; by default a training episode, or to the scenario's end."""
    samples: int = 100
    """Futures of each person."""
    seed: int = 0
    """Seed of luck, and of inputs that were not recorded."""
    weights: Path | None = None
    """Folder of a twin model other than the scenario's own."""
    log_folder: Path = Path("runs")
    """Where runs are kept; this one becomes <log-folder>/whatif/<scenario>_<n>."""
    out: Path | None = None
    """Folder of this run, if it is to have another name; it must not exist."""
    example: Path | None = None
    """Write the CSV file of a simulated person here, and do nothing else."""


def run(args: Args) -> None:
    """Branch, print the table, and write tables and pictures."""
    scenario = registry.get(args.env)
    page = console()
    if args.example is not None:
        write_example(scenario, args.example)
        page.print(f"wrote {args.example}; next: twingym whatif --env {args.env} --person {args.example}")
        return
    if args.person is None:
        raise SpecError("person is None; allowed: a CSV file. `--example person.csv` writes one to try it with.")
    check_numbers((args.seed,), samples=args.samples)
    policies = named(args.policies or (scenario.baseline,), scenario)
    twin = personalise(scenario, args.person, weights=args.weights, error=errors(args.error))
    fits = fit_so_far(scenario, twin.dynamics, twin.history, args.alpha, args.seed, twin.error)
    futures = twin.branch(policies, args.steps, args.seed, args.samples)
    folder = RunDir.create(
        args.out or free_path(args.log_folder, VERB, scenario.id),
        {"verb": VERB, "args": plain(args), **describe(scenario)},
    )
    with folder.withdrawn_on_failure():
        write(futures, fits, folder.path)
    summary = futures.summary()
    for person in twin.history.ids[:MOST_DRAWN]:
        found = table(
            f"person {person}: mean and 90 % of {args.samples} futures", "measure", *futures.courses, "limit", "unit"
        )
        mine = summary[summary["person"] == person]
        for name in dict.fromkeys(mine["measure"]):
            rows = mine[mine["measure"] == name]
            cells = [f"{r['mean']:.3g} ({r['low']:.3g} to {r['high']:.3g})" for _, r in rows.iterrows()]
            limit = rows["limit"].iloc[0]
            found.add_row(name, *cells, "" if np.isnan(limit) else f"{limit:g}", rows["unit"].iloc[0])
        page.print(found)
        page.print(fit_in_words(fits[fits["person"] == person], scenario))
    page.print(
        f"Judged by the transformer twin of {scenario.id} alone, after reading the recorded course. {caveat(scenario)}"
    )
    page.print(f"tables and pictures: {folder.path}")
    folder.seal()


def named(names: tuple[str, ...], scenario: Scenario) -> dict[str, Policy]:
    """Return rules and trained policies by name.

    Raises:
        UnknownNameError: If a name is neither a rule nor the folder of a run.
        SpecError: If a run is on another scenario.
        WeightsError: If a run holds no policy.
    """
    runs = [name for name in names if name not in scenario.rules and (Path(name) / CONFIG).is_file()]
    trained = by_name([RunDir.open(Path(name)) for name in runs])
    for run in trained.values():
        if scenario_in_common([run], None).fingerprint() != scenario.fingerprint():
            told = run.config.get("scenario_file", run.config["scenario"])
            raise SpecError(f"run {run.path} is on scenario {told}, not on {scenario.id}; pass --env {told}.")
    called = dict(zip(runs, trained, strict=True))
    found: dict[str, Policy] = {}
    for name in names:
        if name in called:
            found[called[name]] = policy_of(trained[called[name]], scenario)
        elif name in scenario.rules or len(Path(name).parts) < 2:
            found[name] = RulePolicy(scenario, scenario.rule(name))
        else:
            RunDir.open(Path(name))  # says what is wrong with it
    return found


def fit_in_words(fits: pd.DataFrame, scenario: Scenario) -> str:
    """Return whether the model fits a person's course so far, from their rows of the table."""
    said = []
    for row in fits.to_dict(orient="records"):
        about = f"{row['variable']}: {row['fits']}"
        if row["fits"] == DRIFTED:
            about = f"[red]{about}[/red], since {row['since']:g} {scenario.dt_unit}; do not rely on these futures"
        counts = f"{row['observations']} observations, evidence {row['evidence']:.2g} of {row['wanted']:.3g}"
        said.append(f"{about} ({counts})")
    return "does the model fit the course so far? " + "; ".join(said)


def write(futures: Futures, fits: pd.DataFrame, folder: Path) -> None:
    """Write summary, bands and whether the model fits as CSV, and a picture of each of the first people."""
    for name, frame in (("summary", futures.summary()), ("bands", futures.bands()), ("fit", fits)):
        write_atomically(folder / f"{name}.csv", _csv(frame))
    for person in futures.twin.history.ids[:MOST_DRAWN]:
        picture = io.BytesIO()
        plot_futures(futures, int(person)).savefig(picture, format="png", dpi=130)
        write_atomically(folder / f"person_{person}.png", picture.getvalue())


def write_example(scenario: Scenario, path: Path) -> None:
    """Write the first half of a simulated person's training episode, as the twin's readers may see it.

    Raises:
        RunExistsError: If the file is there already.
    """
    if path.exists():
        raise RunExistsError(f"{path} is there already; name another file.")
    half = scenario.horizon // 2
    source = "transformer" if scenario.reference is None else "reference"
    courses = collect(scenario, people("test", 16), 0, dynamics=source)
    row = int(np.flatnonzero(courses.length > half)[0])
    frame = course_frame(scenario, replace(courses.take(np.array([row])), length=np.array([half])))
    hidden = [v.name for v in scenario.variables if not v.seen_by("twin")]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _csv(frame.drop(columns=hidden, errors="ignore")))


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()


if __name__ == "__main__":
    run_module(__file__)
