"""What do policies lose to readings that err, come late or never, and how much of it does a belief give back?

``python -m benchmarks.belief --env Sepsis-v0`` treats held-out people on the reference under rules and, where one
ships, a trained policy, three times each with the same luck: shown every reading at once (``exact``), the last reading
of a bad stream (``last``), and what a particle filter over the twin model makes of that stream (``belief``). It writes
one row per policy and way to ``benchmarks/results/belief_<env>.csv``; ``lost`` is how much of the trial's measure is
lost to exact readings, of the same people, with its standard error. Five CPU minutes or so. docs/one_person.md shows it
as :func:`markdown` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
import tyro

from benchmarks.told import tell
from twingym.agents.export import load_policy
from twingym.envs.readings import Belief, Readings
from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation import evaluate
from twingym.evaluation.cards.markdown import markdown_table
from twingym.evaluation.rollout import Policy
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins import people

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Trial:
    """Who is treated how, and what is wrong with the readings.

    Attributes:
        measure: What may be lost.
        rules: Policies.
        people: Held-out people.
        steps: Of each.
        bad: The stream; errors on top of those of the scenario's own sensor.
        others: Measures that the table tells, too.
        snapshot: A trained policy among those that ship, if any.
        percent: Whether the measure is a share, told in percent and points.
    """

    measure: str
    rules: tuple[str, ...]
    people: int
    steps: int
    bad: Readings
    others: tuple[str, ...] = ()
    snapshot: str = ""
    percent: bool = False


TRIALS = {
    # A day; gaps of half an hour, up to ten minutes late.
    "Glucose-v0": Trial(
        "time_in_range",
        ("closed_loop", "low_glucose_suspend"),
        60,
        288,
        Readings({"cgm": 15.0}, missing=0.3, gap=6.0, late=2),
        ("below_70", "above_250"),
        "ppo_twin",
        percent=True,
    ),
    "Sepsis-v0": Trial(
        "return",
        ("by_signs", "until_well", "optimal"),
        2000,
        20,
        Readings(dict.fromkeys(("heart_rate", "blood_pressure", "oxygen", "glucose"), 0.1), missing=0.3, late=1),
    ),
}
WAYS = ("exact", "last", "belief")


@dataclass
class Args:
    """Compare what policies are shown."""

    env: Literal["Glucose-v0", "Sepsis-v0"] = "Glucose-v0"
    """Scenario."""
    people: int | None = None
    """Held-out people; by default as many as its table tells of."""
    particles: int = 64
    """Particles for each person."""
    seed: int = 0
    """Of people's luck and of readings."""
    out: Path | None = None
    """Where the table goes; by default among the results."""


def policies(scenario: Scenario, trial: Trial) -> dict[str, Policy]:
    """Return the rules, and the trained policy if one ships."""
    found: dict[str, Policy] = {name: RulePolicy(scenario, name) for name in trial.rules}
    if trial.snapshot:
        found[trial.snapshot] = load_policy(weights_folder(scenario) / "policies" / trial.snapshot)
    return found


def compared(scenario: Scenario, trial: Trial, args: Args) -> pd.DataFrame:
    """Return one row per policy and way."""
    ids, rows = people("test", args.people or trial.people), []
    shown = (None, trial.bad, replace(trial.bad, belief=Belief(args.particles)))
    for name, policy in policies(scenario, trial).items():
        exact = np.empty(0)
        for way, readings in zip(WAYS, shown, strict=True):
            told = {"name": f"{name}, {way}", "horizon": trial.steps, "readings": readings, "progress": True}
            found = evaluate(policy, scenario, ids, (args.seed,), "reference", **told)
            kept = found.measure(trial.measure)[:, 0]
            exact = kept if readings is None else exact
            lost = exact - kept
            row = {"policy": name, "shown": way, "people": len(ids), "steps": trial.steps}
            row |= {measure: found.measure(measure).mean() for measure in (trial.measure, *trial.others)}
            row |= {"lost": lost.mean(), "lost_error": lost.std(ddof=1) / len(lost) ** 0.5}
            rows.append(row | {"return": found.measure("return").mean()})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame, trial: Trial) -> str:
    """Return the table as the docs show it: per policy, the measure by what is shown, and what is lost."""
    head = ("policy", "exact", "last reading", "belief", "lost by the last reading", "by the belief")
    lines = []
    for name, rows in table.groupby("policy", sort=False):
        by = rows.set_index("shown")
        kept = [f"{by.loc[way, trial.measure]:{'.1%' if trial.percent else '.3f'}}" for way in WAYS]
        lines.append((str(name), *kept, *(_lost(by.loc[way], trial.percent) for way in WAYS[1:])))
    return markdown_table(head, lines)


def _lost(row: pd.Series, percent: bool) -> str:
    if percent:
        return f"{100 * row['lost']:.1f} ± {100 * row['lost_error']:.1f} points"
    return f"{row['lost']:.3f} ± {row['lost_error']:.3f}"


def main(args: Args) -> None:
    """Compare, write and print."""
    torch.set_num_threads(1)
    trial = TRIALS[args.env]
    table = compared(get(args.env), trial, args)
    tell(table, args.out or RESULTS / f"belief_{args.env}.csv", markdown(table, trial))


if __name__ == "__main__":
    main(tyro.cli(Args))
