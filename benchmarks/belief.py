"""What do policies lose to readings that err, come late or never, and how much of it does a belief give back?

``python -m benchmarks.belief`` treats held-out people of Glucose-v0 on the reference under rules and a trained policy,
three times each with the same luck: shown every sensor reading at once (``exact``), the last reading of a bad stream
(``last``), and what a particle filter over the twin model makes of that stream (``belief``). It writes one row per
policy and way to ``benchmarks/results/belief_Glucose-v0.csv``; ``lost`` is what time in range is lost to exact
readings, of the same people, with its standard error. Five CPU minutes or so. docs/one_person.md shows it as
:func:`markdown` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
ENV = "Glucose-v0"
SNAPSHOT = "ppo_twin"  # of those that ship


@dataclass
class Args:
    """Compare what policies are shown."""

    people: int = 60
    """Held-out people."""
    horizon: int = 288
    """Steps; a day."""
    rules: tuple[str, ...] = ("closed_loop", "low_glucose_suspend")
    """Rules beside the trained policy."""
    error: float = 15.0
    """Standard deviation of a further error of the sensor, mg/dL."""
    missing: float = 0.3
    """Share of readings that get lost."""
    gap: float = 6.0
    """Mean steps that a gap lasts; half an hour."""
    late: int = 2
    """The most steps that a reading is late; ten minutes."""
    particles: int = 64
    """Particles for each person."""
    seed: int = 0
    """Of people's luck and of readings."""
    out: Path = RESULTS / f"belief_{ENV}.csv"
    """Where the table goes."""


def policies(scenario: Scenario, rules: tuple[str, ...]) -> dict[str, Policy]:
    """Return the rules and the trained policy that ships."""
    found: dict[str, Policy] = {name: RulePolicy(scenario, name) for name in rules}
    return found | {SNAPSHOT: load_policy(weights_folder(scenario) / "policies" / SNAPSHOT)}


def ways(args: Args) -> dict[str, Readings | None]:
    """Return how readings reach policies, by name."""

    def stream(belief: Belief | None) -> Readings:
        return Readings({"cgm": args.error}, args.missing, args.gap, args.late, belief)

    return {"exact": None, "last": stream(None), "belief": stream(Belief(args.particles))}


def compared(scenario: Scenario, args: Args) -> pd.DataFrame:
    """Return one row per policy and way."""
    ids, rows = people("test", args.people), []
    for name, policy in policies(scenario, args.rules).items():
        exact = np.empty(0)
        for way, readings in ways(args).items():
            told = {"name": f"{name}, {way}", "horizon": args.horizon, "readings": readings, "progress": True}
            found = evaluate(policy, scenario, ids, (args.seed,), "reference", **told)
            in_range = found.measure("time_in_range")[:, 0]
            exact = in_range if readings is None else exact
            lost = exact - in_range
            row = {"policy": name, "shown": way, "people": len(ids), "steps": args.horizon}
            row |= {measure: found.measure(measure).mean() for measure in ("time_in_range", "below_70", "above_250")}
            row |= {"lost": lost.mean(), "lost_error": lost.std(ddof=1) / len(lost) ** 0.5}
            rows.append(row | {"return": found.measure("return").mean()})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Return the table as the docs show it: per policy, time in range by what it is shown, and what is lost."""
    head = ("policy", "exact", "last reading", "belief", "points lost by the last reading", "by the belief")
    lines = []
    for name, rows in table.groupby("policy", sort=False):
        by = rows.set_index("shown")
        shares = [f"{by.loc[way, 'time_in_range']:.1%}" for way in ("exact", "last", "belief")]
        lost = [f"{100 * by.loc[w, 'lost']:.1f} ± {100 * by.loc[w, 'lost_error']:.1f}" for w in ("last", "belief")]
        lines.append((str(name), *shares, *lost))
    return markdown_table(head, lines)


def main(args: Args) -> None:
    """Compare, write and print."""
    torch.set_num_threads(1)
    table = compared(get(ENV), args)
    tell(table, args.out, markdown(table))


if __name__ == "__main__":
    main(tyro.cli(Args))
