"""What should training do where the twin model's heads disagree? Each reaction, judged on the reference.

``python -m benchmarks.doubt_training`` trains PPO on the twin model with each reaction of ``envs/doubt.py`` and with
none, over five seeds and two scenarios, and judges every policy on held-out people, on twin model and reference, in
environments without any reaction. It writes a row per cell to ``benchmarks/results/doubt_training.csv`` as it goes; a
cell whose row is there, made on the same weights with the same settings, is not made again. ``--quick`` makes cells of
seconds for two seeds in ``runs``, to see that all of it works.

The rule by which a default is chosen was fixed before: the reaction with the highest return on the reference, if its
difference from none, paired by seed, is above zero with 95 % confidence and it breaks no more limits; else none.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro
from rich.console import Console
from scipy.stats import t as student

from twingym.agents.algorithms import algorithm
from twingym.agents.hyperparameters import NO_DOUBT, hyperparameters
from twingym.agents.trainer import train
from twingym.envs.doubt import REACTIONS
from twingym.evaluation import evaluate, verdicts
from twingym.evaluation.comparison import REFERENCE, TWIN
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins import people
from twingym.twins.model import digest, write_atomically

RESULTS = Path(__file__).parent / "results" / "doubt_training.csv"
QUICK = Path("runs/doubt_training_quick.csv")
HOW = (NO_DOUBT, *REACTIONS)
MEASURES = ("return", "exploitation_gap", "limits_broken", "disagreement")
KEYS = ["env", "doubt", "seed"]
STEPS = {"Glucose-v0": 2_200_000, "Retention-v0": 4_000_000}  # about four CPU minutes each, judging included


@dataclass
class Args:
    """Compare reactions to the disagreement of a twin model's heads."""

    envs: tuple[str, ...] = ("Glucose-v0", "Retention-v0")
    """Scenarios."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    n_timesteps: int | None = None
    """Steps of each training; by default ``STEPS``."""
    quick: bool = False
    """Two seeds and a hundredth of the steps, judged on few people; written elsewhere."""


def settings(scenario: Scenario, how: str, steps: int) -> dict[str, Any]:
    """Return what changes in a cell's hyperparameters."""
    return {"doubt": how, "n_timesteps": steps}


def cell(scenario: Scenario, how: str, seed: int, steps: int, scale: float) -> dict[str, Any]:
    """Train with a reaction and judge without: one row.

    Args:
        scenario: The problem.
        how: Reaction, or none.
        seed: Of the training.
        steps: Of the training.
        scale: Share of the people that are usually judged.
    """
    began = time.process_time()
    done = train(scenario, seed=seed, changes=settings(scenario, how, steps), progress=True)
    if not done.finished:
        raise KeyboardInterrupt  # train() returns what there is, which is no result
    trained = time.process_time() - began
    short = scenario.judged_horizon <= 1000
    many, few = (20_000, 5_000) if short else (200, 60)
    ids, some = people("test", max(int(many * scale), 8)), people("test", max(int(few * scale), 8))
    kept = evaluate(done.policy, scenario, ids, dynamics=REFERENCE)
    promised = evaluate(done.policy, scenario, some, dynamics=TWIN)
    alike = kept.episodes[kept.episodes["twin"].isin(some)]
    found = {
        "return": kept.episodes["return"].mean(),
        "return_on_twin": promised.episodes["return"].mean(),
        "exploitation_gap": promised.episodes["return"].mean() - alike["return"].mean(),
        "disagreement": promised.episodes["disagreement"].mean(),
    }
    judged = verdicts(kept)
    found |= dict(zip(judged["name"], judged["estimate"], strict=True))
    broken = int((judged["estimate"] > judged["limit"]).sum())
    return {**found, "limits_broken": broken, "train_cpu_s": trained, "cpu_s": time.process_time() - began}


def origin(scenario: Scenario, how: str, steps: int) -> str:
    """Return a short hash of what a cell is trained on and how: other weights or settings make another cell."""
    settled = hyperparameters(algorithm("ppo"), scenario.env_id, settings(scenario, how, steps))
    text = repr((digest(weights_folder(scenario)), settled, scenario.limits_hash()))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def differences(table: pd.DataFrame, env: str, measure: str) -> pd.DataFrame:
    """Return each reaction's mean of a measure and its difference from none, paired by seed, with a 95 % interval."""
    wide = table[table["env"] == env].pivot(index="seed", columns="doubt", values=measure)[list(HOW)].dropna()
    apart = wide.sub(wide[NO_DOUBT], axis=0)
    count = len(apart)
    half = apart.std() * (student.ppf(0.975, count - 1) / count**0.5 if count > 1 else float("nan"))
    mean = apart.mean()
    columns = {"mean": wide.mean(), "difference": mean, "low": mean - half, "high": mean + half, "seeds": count}
    return pd.DataFrame(columns).rename_axis("doubt")


def winner(table: pd.DataFrame, env: str) -> str:
    """Return what won on a scenario, by the rule above."""
    gained = differences(table, env, "return")
    broken = differences(table, env, "limits_broken")["mean"]
    best = str(gained["mean"].idxmax())
    better = best != NO_DOUBT and gained.loc[best, "low"] > 0.0 and broken[best] <= broken[NO_DOUBT]
    return best if better else NO_DOUBT


def summary(table: pd.DataFrame, envs: Sequence[str]) -> pd.DataFrame:
    """Return all differences, and what won, of the scenarios: one row per scenario, measure and reaction."""
    parts = []
    for env in envs:
        won = winner(table, env)
        for measure in MEASURES:
            part = differences(table, env, measure).reset_index()
            parts.append(part.assign(env=env, measure=measure, won=part["doubt"] == won))
    return pd.concat(parts)[["env", "measure", "doubt", "mean", "difference", "low", "high", "seeds", "won"]]


def main(args: Args) -> None:
    """Make the cells that are missing, one after the other, and print what they say."""
    torch.set_num_threads(1)
    path = QUICK if args.quick else RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    scale, seeds = (0.02, args.seeds[:2]) if args.quick else (1.0, args.seeds)
    console = Console(width=160)
    table = pd.read_csv(path, dtype={"origin": str}) if path.is_file() else pd.DataFrame(columns=[*KEYS, "origin"])
    current = set()
    for seed in seeds:  # whole seeds first: every seed that is done can be compared
        for env in args.envs:
            scenario = get(env)
            steps = args.n_timesteps or STEPS[scenario.id]
            steps = steps // 100 if args.quick else steps
            for how in HOW:
                key = {"env": scenario.id, "doubt": how, "seed": seed, "origin": origin(scenario, how, steps)}
                current.add(key["origin"])
                same = np.logical_and.reduce([table[name] == value for name, value in key.items()])
                if same.any():
                    continue
                console.print(f"{scenario.id}, {how}, seed {seed}")
                row = pd.DataFrame([{**key, "steps": steps, **cell(scenario, how, seed, steps, scale)}])
                stale = np.logical_and.reduce([table[name] == key[name] for name in KEYS])
                table = pd.concat([table[~stale], row], ignore_index=True) if len(table) else row
                write_atomically(path, table.to_csv(index=False, float_format="%.6g").encode())
    # What was made on other weights or settings and has not been replaced yet tells nothing about these.
    short = summary(table[table["origin"].isin(current)], [get(env).id for env in args.envs])
    write_atomically(path.with_stem(f"{path.stem}_summary"), short.to_csv(index=False, float_format="%.6g").encode())
    console.print(short.to_string(index=False, float_format="%.4g"))


if __name__ == "__main__":
    main(tyro.cli(Args))
