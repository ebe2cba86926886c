"""Does a twin model that runs freely from birth still count what its reference counts, late and in everybody?

``python -m benchmarks.free_running`` lets each rule of the fidelity plan treat the same held-out people on both
dynamics, and prints the twin model's total of the plan's variable over that of the reference: by quarter of the
episode, and by how much people count in all (the lower 80 %, and so on). Errors that predictions of one step hide
(evaluation/fidelity/forecast.py) feed on themselves here: who is thought to buy buys, and is thought to buy more.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro

from twingym.evaluation import evaluate
from twingym.evaluation.comparison import REFERENCE
from twingym.evaluation.courses import Courses
from twingym.evaluation.fidelity.policy_values import planned
from twingym.scenarios import get
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel, people

PARTS, SHARES = 4, (0.0, 0.8, 0.95, 0.99, 1.0)


@dataclass
class Args:
    """Compare totals of free-running twins with those of the reference."""

    env: str = "Retention-v0"
    """Scenario; its plan's variable should be one that adds up."""
    weights: Path | None = None
    """Folder of another twin model."""
    people: int = 20_000
    """Held-out people."""


def main(args: Args) -> None:
    """Run every rule on both dynamics and print the ratios."""
    torch.set_num_threads(1)
    scenario = get(args.env)
    plan, ids = scenario.fidelity, people("test", args.people)
    assert plan is not None, f"{args.env} has no fidelity plan"
    model = TwinModel.load(args.weights or weights_folder(scenario), scenario.world_fingerprint())
    edges = [round(share * args.people) for share in SHARES]
    rows = []
    for label, policy in planned(scenario, plan).items():
        totals = []
        for dynamics in (model.dynamics(), REFERENCE):
            found = evaluate(policy, scenario, ids, (0,), dynamics, name=label, horizon=plan.policy_steps, courses=True)
            assert isinstance(found.courses, Courses)
            totals.append(np.nan_to_num(found.courses.values[plan.variable][:, 1:]))
        rows.append(compared(label, *totals, edges))
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"))


def compared(label: str, mine: np.ndarray, theirs: np.ndarray, edges: list[int]) -> dict[str, object]:
    """Return ratios of totals of values (N, T) by part of the time and by rank of the person's total."""
    row: dict[str, object] = {"policy": label, "all": mine.sum() / theirs.sum()}
    parts = zip(np.array_split(mine, PARTS, axis=1), np.array_split(theirs, PARTS, axis=1), strict=True)
    row |= {f"part {k}": a.sum() / b.sum() for k, (a, b) in enumerate(parts, start=1)}
    ranked = np.sort(mine.sum(axis=1)), np.sort(theirs.sum(axis=1))
    for (low, high), (start, end) in zip(pairwise(SHARES), pairwise(edges), strict=True):
        row[f"{low:.0%}-{high:.0%}"] = ranked[0][start:end].sum() / max(ranked[1][start:end].sum(), 1.0)
    return row


if __name__ == "__main__":
    main(tyro.cli(Args))
