"""How do policies appear side by side in TensorBoard?

Each policy is a run of its own: its scalars on the reference under the same tags as in training, drawn as a level line
over all training steps, so that rules are what training curves are measured against; its scalars on the twin model in
``<policy>/twin_model``; and a row of the hparams table. The run ``limit`` draws each limit into the chart of its cost,
and ``figures`` holds the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from twingym.agents.scalars import scalars
from twingym.evaluation.caveat import assumptions
from twingym.evaluation.comparison import OVERALL, TWIN, Comparison
from twingym.evaluation.episodes import Evaluation
from twingym.evaluation.judge import JUDGES
from twingym.experiments.judging import Judged
from twingym.scenarios.scenario import Scenario

Facts = Mapping[str, str | int | float | bool]
EXPLOITATION = "gap/exploitation"


def write_board(
    folder: Path,
    judged: Judged,
    comparison: Comparison,
    facts: Mapping[str, Facts],
    figures: Mapping[str, Figure],
    steps: int,
) -> None:
    """Write one events folder per policy, and one for the figures.

    Args:
        folder: Where to.
        judged: Evaluations by policy and dynamics.
        comparison: Of the same.
        facts: What is known of each policy before it is judged: kind, algorithm, seed.
        figures: By tag.
        steps: Where the level lines end: the training steps of the longest run.
    """
    for policy, places in judged.items():
        judge = next((places[name] for name in JUDGES if name in places), None)
        main = judge or places[TWIN]
        found = policy_scalars([main]) | _gap(comparison, policy)
        with SummaryWriter(str(folder / policy)) as writer:
            _level(writer, found, steps)
            # The table has no column of names, and cuts off its trial ids.
            rule: Facts = {"algorithm": f"rule: {policy}", "seed": "", "trained_on": ""}
            columns = {**rule, **facts.get(policy, {}), **_verdicts(comparison, policy, main.dynamics)}
            for summary in hparams(columns, _measured(main.scenario, found)):
                writer.file_writer.add_summary(summary)
        if TWIN in places and judge is not None:
            with SummaryWriter(str(folder / policy / "twin_model")) as writer:
                _level(writer, policy_scalars([places[TWIN]]), steps)
    with SummaryWriter(str(folder / "limit")) as writer:
        ends = {tag for tag in found if tag.endswith("/limit")}
        _level(writer, {tag.removesuffix("limit") + "cost_return": found[tag] for tag in ends}, steps)
    with SummaryWriter(str(folder / "figures")) as writer:
        for effect in assumptions(main.scenario):
            writer.add_text("assumed, not learned", effect)
        for tag, figure in figures.items():
            writer.add_figure(tag, figure)


def policy_scalars(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return the scalars of a policy on judged people, under the tags of training, and its metrics."""
    import pandas as pd

    scenario = evaluations[0].scenario
    table = pd.concat([evaluation.episodes for evaluation in evaluations])
    renamed = {"return": "episode_return", "steps": "episode_length"}
    renamed |= {f"cost_{c.name}": f"cost_return_{c.name}" for c in scenario.costs} | {
        name: f"group_{name}" for name in scenario.groups
    }
    columns = {renamed.get(name, name): np.asarray(table[name]) for name in table.columns}
    metrics = {f"metric/{m.name}": float(columns[m.name].mean()) for m in scenario.metrics}
    return scalars(scenario, columns) | {"policy/return": float(columns["episode_return"].mean())} | metrics


def _level(writer: SummaryWriter, found: Mapping[str, float], steps: int) -> None:
    for tag, value in found.items():
        for step in (0, steps):
            writer.add_scalar(tag, value, step)


def _gap(comparison: Comparison, policy: str) -> dict[str, float]:
    tidy = comparison.tidy
    rows = tidy[(tidy["policy"] == policy) & (tidy["what"] == "exploitation") & (tidy["quantity"] == "return")]
    return {EXPLOITATION: float(rows["estimate"].iloc[0])} if len(rows) else {}


def _verdicts(comparison: Comparison, policy: str, place: str) -> dict[str, str]:
    """Return the verdicts as columns of the hparams table: strings, so that they can be filtered by."""
    tidy = comparison.tidy
    rows = tidy[(tidy["policy"] == policy) & (tidy["dynamics"] == place) & tidy["verdict"].notna()]
    found = {f"verdict/{name}": str(verdict) for name, verdict in zip(rows["quantity"], rows["verdict"], strict=True)}
    # The table is sorted by name and shows the first five.
    return {"all_limits": found.pop(f"verdict/{OVERALL}"), **found}


def _measured(scenario: Scenario, found: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of the hparams table, of which it shows the first five: no limits, no rates."""
    wanted = [f"metric/{m.name}" for m in scenario.metrics if m.better != "neither"][:1]
    gaps = [tag for tag in found if tag.startswith("fairness/") and tag.endswith("/gap")][:1]
    first = ["policy/return", *wanted, f"constraint/{scenario.primary.name}/cost_return", *gaps, EXPLOITATION]
    rest = [tag for tag in found if tag.startswith(("metric/", "fairness/")) or tag.endswith("/cost_return")]
    return {tag: found[tag] for tag in dict.fromkeys([*first, *rest]) if tag in found}
