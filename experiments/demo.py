"""See it work: train PPO on glucose twins, judge it beside two rules on twin model and reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twingym.experiments import train
from twingym.experiments.cli import run_module

SCENARIO = "twingym/Glucose-v0"
RULES = ("basal_bolus", "low_glucose_suspend")


@dataclass(frozen=True)
class Args:
    """See it work."""

    dynamics: str = "transformer"
    """What moves the people in training: transformer or reference."""
    n_timesteps: int = 3_000_000
    """Training steps over all twins; agents/hyperparams/ppo.yml has more, for better agents."""
    people: int = 200
    """Test people whom all policies are judged on."""
    horizon: int | None = None
    """Steps that they are judged over; by default fourteen days."""
    seed: int = 0
    """Of the initial weights, the exploration and the people met."""
    log_folder: Path = Path("runs")
    """Where the run is kept: demo, demo_2, ..."""
    progress: bool = True
    """Show a progress bar."""


def run(args: Args) -> int:
    """Train, judge, report; return the exit status."""
    return train.run(
        train.Args(
            env=SCENARIO,
            dynamics=args.dynamics,
            seed=args.seed,
            n_timesteps=args.n_timesteps,
            out=free_demo(args.log_folder),
            eval_people=args.people,
            eval_horizon=args.horizon,
            eval_rules=RULES,
            progress=args.progress,
        )
    )


def free_demo(root: Path) -> Path:
    """Return ``demo``, or ``demo_2`` and so on if it exists."""
    number, path = 1, root / "demo"
    while path.exists():
        number += 1
        path = root / f"demo_{number}"
    return path


if __name__ == "__main__":
    run_module(__file__)
