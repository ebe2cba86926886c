"""TwinGym: train, compare and judge intervention policies on simulated people.

Importing this package registers the ids ``twingym/<Scenario>-v<N>`` with Gymnasium and loads nothing heavy:
torch and the scenarios are imported when they are first used. The folders ``twins``, ``scenarios``, ``envs``,
``evaluation``, ``agents`` and ``experiments`` at the root of the repository are its sub-packages.

Every reference model is itself a model, and nothing here is for treatment decisions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

from twingym.envs.registration import register_all

if TYPE_CHECKING:
    from twingym import agents, envs, evaluation, experiments, scenarios, twins

_SUBPACKAGES = ("agents", "envs", "evaluation", "experiments", "scenarios", "twins")

__all__ = ["__version__", "agents", "envs", "evaluation", "experiments", "scenarios", "twins"]


def __getattr__(name: str) -> object:
    """Import a sub-package when it is first asked for."""
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    """List the sub-packages too, also those not imported yet."""
    return sorted({*globals(), *_SUBPACKAGES})


register_all()
