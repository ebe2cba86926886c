"""Environments: the twins behind the interfaces of Gymnasium and Stable-Baselines3."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twingym.envs.readings import Belief as Belief
    from twingym.envs.readings import Readings as Readings
    from twingym.envs.rule_policy import RulePolicy as RulePolicy
    from twingym.envs.sb3 import SB3VecEnv as SB3VecEnv
    from twingym.envs.single import TwinEnv as TwinEnv
    from twingym.envs.vector import TwinVectorEnv as TwinVectorEnv

# Loaded on first use, so that importing twingym stays cheap.
_WHERE = {
    "Belief": "readings",
    "Readings": "readings",
    "RulePolicy": "rule_policy",
    "SB3VecEnv": "sb3",
    "TwinEnv": "single",
    "TwinVectorEnv": "vector",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
