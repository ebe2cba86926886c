"""What is a forecast worth that goes on from readings that err, taken for exact, and from what may truly have been?

``python -m benchmarks.read_past`` records held-out people of Glucose-v0 on the reference, disturbs the readings of the
first four hours as a bad sensor would, lets the twin model read them, and gives again what was given: forecasts from
exact readings (``exact``), from disturbed ones taken for exact (``taken``), and with their error declared
(``believed``), against what the undisturbed sensor read then. A row per way and time ahead goes to
``benchmarks/results/read_past_Glucose-v0.csv``; docs/one_person.md shows it as :func:`markdown` writes it. A minute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro

from benchmarks.told import tell
from twingym.envs.behaviour import collect
from twingym.envs.readings import Post, Readings
from twingym.evaluation import personalise
from twingym.evaluation.cards.markdown import markdown_table
from twingym.evaluation.fidelity.scores import crps
from twingym.evaluation.history_value import RecordedInputs, Repeat
from twingym.scenarios import get
from twingym.twins import people
from twingym.twins.courses import Courses
from twingym.twins.scales import Floats

ENV, VARIABLE = "Glucose-v0", "cgm"
RESULTS = Path(__file__).parent / "results"
WAYS = {"exact": "exact readings", "taken": "taken for exact", "believed": "error declared"}


@dataclass
class Args:
    """Compare ways to read a past."""

    people: int = 100
    """Held-out people."""
    read: int = 48
    """Steps that are read."""
    ahead: tuple[int, ...] = (1, 6, 12, 24)
    """Steps ahead."""
    error: float = 15.0
    """Standard deviation of the error, mg/dL."""
    missing: float = 0.3
    """Share of readings that get lost."""
    samples: int = 60
    """Futures of each person."""
    seed: int = 0
    """Of people's luck and of readings."""
    out: Path = RESULTS / f"read_past_{ENV}.csv"
    """Where the table goes."""


def compared(args: Args) -> pd.DataFrame:
    """Return one row per way and time ahead."""
    scenario = get(ENV)
    column, last = [v.name for v in scenario.variables].index(VARIABLE), args.read + max(args.ahead)
    found = collect(scenario, people("test", args.people), args.seed, horizon=last)
    truth = found.take(np.flatnonzero(found.length == last))  # of whom a severe low ended nothing
    past = replace(truth, length=np.full(len(truth), args.read))
    disturbed = replace(past, observed=_disturbed(truth, args))
    rows = []
    for way, history, error in (
        ("exact", past, {}),
        ("taken", disturbed, {}),
        ("believed", disturbed, {VARIABLE: args.error}),
    ):
        inputs = replace(scenario, draw_inputs=RecordedInputs(truth, scenario.draw_inputs))
        twin = replace(personalise(scenario, history, error=error), scenario=inputs)
        again = {"again": Repeat(scenario, truth.delivered[:, args.read :])}
        values = twin.branch(again, max(args.ahead), args.seed, args.samples).values("again", VARIABLE)  # (S, N, T + 1)
        for ahead in args.ahead:
            sampled, happened = values[:, :, ahead], truth.observed[:, args.read + ahead, column]
            low, high = np.nanquantile(sampled, [0.05, 0.95], axis=0)
            inside = ((low <= happened) & (happened <= high)).mean()
            row = {"way": way, "steps": ahead, "people": len(truth), "crps": crps(sampled, happened).mean()}
            rows.append(row | {"coverage_90": inside, "width_90": (high - low).mean()})
    return pd.DataFrame(rows)


def _disturbed(truth: Courses, args: Args) -> Floats:
    """Observations (N, T + 1, V) as readings bring them; that of birth always arrives."""
    everyone, episode = np.arange(len(truth)), np.zeros(len(truth), dtype=np.int64)
    post = Post(get(ENV), Readings({VARIABLE: args.error}, args.missing), len(truth), args.seed)
    observed, read = truth.observed.copy(), post.columns
    observed[:, 0, read] = post.at_birth(everyone, truth.ids, episode, truth.observed[:, 0])[:, read]
    observed[:, 1:, read] = np.nan
    for t in range(1, observed.shape[1]):
        for arrival in post.step(everyone, truth.ids, episode, np.full_like(episode, t), truth.observed[:, t]):
            observed[arrival.rows[:, None], t, read] = arrival.values[:, read]
    return observed


def markdown(table: pd.DataFrame) -> str:
    """Return the table as the docs show it: CRPS and coverage by minutes ahead."""
    minutes = get(ENV).dt
    rows = []
    for way, label in WAYS.items():
        mine = table[table["way"] == way]
        cells = [f"{r.crps:.1f}; {r.coverage_90:.0%}" for r in mine.itertuples()]
        rows.append((label, *cells))
    ahead = [f"{steps * minutes:g} min" for steps in table["steps"].unique()]
    return markdown_table(("the past was read with", *ahead), rows)


def main(args: Args) -> None:
    """Compare, write and print."""
    torch.set_num_threads(1)
    table = compared(args)
    tell(table, args.out, markdown(table))


if __name__ == "__main__":
    main(tyro.cli(Args))
