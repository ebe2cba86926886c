"""Agents: Stable-Baselines3 on twins, and what is kept of a training."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twingym.agents.algorithms import algorithm as algorithm
    from twingym.agents.auditor import reveal as reveal
    from twingym.agents.callbacks import Checkpoints as Checkpoints
    from twingym.agents.callbacks import ConstraintLog as ConstraintLog
    from twingym.agents.export import ExportedPolicy as ExportedPolicy
    from twingym.agents.export import export_policy as export_policy
    from twingym.agents.export import load_policy as load_policy
    from twingym.agents.policy import TrainedPolicy as TrainedPolicy
    from twingym.agents.trainer import Training as Training
    from twingym.agents.trainer import train as train

# Loaded on first use: torch and Stable-Baselines3 take seconds.
_WHERE = {
    "Checkpoints": "callbacks",
    "ConstraintLog": "callbacks",
    "ExportedPolicy": "export",
    "TrainedPolicy": "policy",
    "Training": "trainer",
    "algorithm": "algorithms",
    "export_policy": "export",
    "load_policy": "export",
    "reveal": "auditor",
    "train": "trainer",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
