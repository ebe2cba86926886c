"""Which trained policies must a twin model rank like its reference does?

``python -m benchmarks.snapshots --env Retention-v0`` trains PPO once on the twin model and once on the reference, and
exports each after a fifth of its steps and at the end into ``policies/`` beside the scenario's weights. `twingym fit`
judges every later twin model on them, beside the rules of the fidelity plan; policies that are there are kept.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from twingym.agents.export import export_policy
from twingym.agents.policy import TrainedPolicy
from twingym.agents.trainer import train
from twingym.evaluation.comparison import REFERENCE, TWIN
from twingym.experiments.card import SNAPSHOTS
from twingym.scenarios import get
from twingym.scenarios.weights import weights_folder

EARLY = 2  # of ten checkpoints
NAMES = {"ppo_twin": TWIN, "ppo_reference": REFERENCE}


@dataclass
class Args:
    """Export snapshots of PPO for a scenario."""

    env: str
    """Scenario."""
    seed: int = 11
    """Training seed; none of those of benchmarks/policies.py."""
    n_timesteps: int = 2_000_000
    """Steps; snapshots need not be good, only different."""


def main(args: Args) -> None:
    """Train and export what is missing."""
    torch.set_num_threads(1)
    scenario = get(args.env)
    folder = weights_folder(scenario) / SNAPSHOTS
    for name, dynamics in NAMES.items():
        if (folder / name).exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            done = train(
                scenario,
                dynamics=dynamics,
                seed=args.seed,
                n_timesteps=args.n_timesteps,
                # A policy that begins by doing nothing is, early on, the rule that does nothing.
                changes={"idle_at_first": None},
                folder=Path(scratch),
                progress=True,
            )
            early = sorted(Path(scratch).glob("steps_*"))[EARLY - 1]
            export_policy(TrainedPolicy.load(early), scenario, folder / f"{name}_early")
            export_policy(done.policy, scenario, folder / name)


if __name__ == "__main__":
    main(tyro.cli(Args))
