"""Draw the picture of README.md: ``python docs/plots.py``."""

from __future__ import annotations

from pathlib import Path

from twingym.envs import RulePolicy
from twingym.evaluation import plot_person
from twingym.scenarios import get

COURSE = Path(__file__).resolve().parent / "course.png"


def draw(path: Path = COURSE) -> Path:
    """Draw a person's day under the pump that suspends before lows, and return where it is."""
    scenario = get("Glucose-v0")
    policy = RulePolicy(scenario, "low_glucose_suspend")
    figure = plot_person(scenario, policy, twin=21, dynamics="reference")
    figure.savefig(path, dpi=100)
    return path


if __name__ == "__main__":
    draw()
